"""Reading compressed messages."""

from __future__ import annotations

import random
import zlib

import pytest

from nitro_py.server.websocket.frames import (
    BINARY,
    CONTINUATION,
    FIN,
    PING,
    RSV1,
    TEXT,
)
from tests.server.websocket.events import MAX, read_all
from tests.server.websocket.raw import write_masked


def deflate(payload: bytes, window: int = 15) -> bytes:
    """Compress a payload as RFC 7692 wants it."""
    stream = zlib.compressobj(wbits=-window)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


@pytest.mark.parametrize("window", [9, 12, 15])
def test_compressed_messages_are_read_each_by_itself(window: int) -> None:
    data = b"".join(write_masked(FIN | RSV1 | TEXT, deflate(b"hello " * 1000, window)) for _ in range(2))
    assert read_all(data, compression=True) == [(TEXT, "hello " * 1000)] * 2


def test_compressed_message_may_come_in_fragments_beside_plain_ones() -> None:
    body = deflate("grüße ".encode() * 1000)
    data = b"".join(
        (
            write_masked(RSV1 | TEXT, body[:5]),
            write_masked(FIN | PING),
            write_masked(CONTINUATION, body[5:9]),
            write_masked(FIN | CONTINUATION, body[9:]),
            write_masked(FIN | BINARY, b"plain"),
        )
    )
    assert read_all(data, compression=True) == [(PING, b""), (TEXT, "grüße " * 1000), (BINARY, b"plain")]


def test_empty_compressed_message_is_read() -> None:
    assert read_all(write_masked(FIN | RSV1 | TEXT, b"\x00"), compression=True) == [(TEXT, "")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (write_masked(FIN | RSV1 | BINARY, b"\xff\xff\xff"), 1002),
        (write_masked(RSV1 | BINARY, deflate(b"a")) + write_masked(FIN | RSV1 | CONTINUATION), 1002),
        (write_masked(FIN | RSV1 | TEXT, deflate(b"\xff")), 1007),
        (write_masked(FIN | RSV1 | BINARY, deflate(b"x" * (MAX + 1))), 1009),
        (write_masked(FIN | RSV1 | BINARY, deflate(b"x" * 100 * MAX)), 1009),
        (write_masked(RSV1 | BINARY, deflate(b"x" * 9)) + write_masked(CONTINUATION, b"\xff" * 8), 1002),
    ],
    ids=["no deflate", "RSV1 on a continuation", "not UTF-8", "a byte too many", "a bomb", "broken in a fragment"],
)
def test_broken_compressed_message_is_refused_with_its_code(data: bytes, code: int) -> None:
    assert read_all(data, compression=True) == [code]


def test_largest_compressed_message_is_taken() -> None:
    payload = random.Random(7).randbytes(MAX)
    body = deflate(payload)
    assert len(body) > MAX
    assert read_all(write_masked(FIN | RSV1 | BINARY, body), compression=True) == [(BINARY, payload)]
