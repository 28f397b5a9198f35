"""The wire form of messages between processes."""

from __future__ import annotations

import pytest

from nitro_py.backplane import BackplaneMessage
from nitro_py.encoding import Frame
from nitro_py.errors import BackplaneError

PUBLISHER = bytes(range(16))


@pytest.mark.parametrize("frame", ["", "text é", b"", b"\x00\xff"], ids=repr)
@pytest.mark.parametrize("namespace", [None, "", "/chat/ü"], ids=repr)
@pytest.mark.parametrize("exclude", [None, "peer"])
def test_message_comes_back_as_it_was(frame: Frame, namespace: str | None, exclude: str | None) -> None:
    message = BackplaneMessage(PUBLISHER, 2**40, "topic é", frame, namespace, exclude)
    read = BackplaneMessage.from_bytes(message.to_bytes())
    assert read == message
    assert type(read.frame) is type(frame)
    assert read.id == (PUBLISHER, 2**40)


def test_wire_form_is_compact_and_stays_as_it_is() -> None:
    data = BackplaneMessage(PUBLISHER, 7, "t", b"\x01", "/n", None).to_bytes()
    assert data.hex() == f"01 03 {PUBLISHER.hex()} {7:016x} {1:08x} {2:08x} {0:08x} 74 2f6e 01".replace(" ", "")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "broken"),
        (b"\x02" + bytes(60), "another version: expected 1, got 2"),
        (BackplaneMessage(PUBLISHER, 1, "topic", "", None, None).to_bytes()[:-1], "expected at least 43 bytes"),
        (BackplaneMessage(PUBLISHER, 1, "t", "a").to_bytes() + b"\xff", "broken"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, problem: str) -> None:
    with pytest.raises(BackplaneError, match=problem):
        BackplaneMessage.from_bytes(data)
