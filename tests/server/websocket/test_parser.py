"""Reading frames."""

from __future__ import annotations

import tracemalloc

import pytest

from nitro_py.server.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    FrameError,
)
from nitro_py.server.websocket.parser import FrameParser, read_short_message
from tests.server.websocket.events import MAX, read_all
from tests.server.websocket.raw import write_masked


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, MAX])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_message_of_any_size_is_read(opcode: int, size: int) -> None:
    payload = b"x" * size
    data = write_masked(FIN | opcode, payload)
    assert read_all(data) == [(opcode, payload.decode() if opcode == TEXT else payload)]


def test_single_bytes_are_enough() -> None:
    data = write_masked(FIN | TEXT, "grüße".encode() * 40) + write_masked(FIN | PING, b"p")
    assert read_all(data, list(range(len(data)))) == [(TEXT, "grüße" * 40), (PING, b"p")]


def test_control_frames_come_between_fragments() -> None:
    data = b"".join(
        (
            write_masked(TEXT, "é".encode()[:1]),
            write_masked(FIN | PING, b"?"),
            write_masked(CONTINUATION, "é".encode()[1:]),
            write_masked(FIN | PONG),
            write_masked(FIN | CONTINUATION, b"!"),
        )
    )
    assert read_all(data) == [(PING, b"?"), (PONG, b""), (TEXT, "é!")]


def test_parser_is_empty_only_between_messages() -> None:
    parser = FrameParser(max_message=MAX)
    assert parser.empty
    parser.feed(write_masked(BINARY, b"a"))
    assert parser.read() is None
    assert not parser.empty
    parser.feed(write_masked(FIN | CONTINUATION, b"b")[:-1])
    assert not parser.empty
    parser.feed(write_masked(FIN | CONTINUATION, b"b")[-1:])
    assert (parser.read(), parser.empty) == ((BINARY, b"ab"), True)


BROKEN = {
    "no mask": (b"\x81\x01a", 1002),
    "RSV1 without compression": (write_masked(FIN | RSV1 | TEXT), 1002),
    "RSV2": (write_masked(FIN | 0x20 | TEXT), 1002),
    "RSV1 on a control frame": (write_masked(FIN | RSV1 | PING), 1002),
    "unknown opcode": (write_masked(FIN | 0x3), 1002),
    "unknown control opcode": (write_masked(FIN | 0xB), 1002),
    "fragmented control frame": (write_masked(PING), 1002),
    "long control frame": (write_masked(FIN | PING, b"x" * 126), 1002),
    "continuation of nothing": (write_masked(FIN | CONTINUATION), 1002),
    "message in a message": (write_masked(TEXT) + write_masked(FIN | TEXT), 1002),
    "length in 2 bytes that fits 7 bits": (b"\x82\xfe\x00\x7d", 1002),
    "length in 8 bytes that fits 2": (b"\x82\xff" + (65535).to_bytes(8), 1002),
    "length with its top bit": (b"\x82\xff" + (1 << 63).to_bytes(8), 1002),
    "text that is not UTF-8": (write_masked(FIN | TEXT, b"\xff"), 1007),
    "text that ends in a character": (write_masked(FIN | TEXT, b"\xc3"), 1007),
    "fragment that is not UTF-8": (write_masked(TEXT, b"\xff"), 1007),
    "surrogate": (write_masked(FIN | TEXT, b"\xed\xa0\x80"), 1007),
    "frame over the limit": (b"\x82\xff" + (MAX + 1).to_bytes(8), 1009),
    "half a close code": (write_masked(FIN | CLOSE, b"\x03"), 1002),
    "close code 1005": (write_masked(FIN | CLOSE, (1005).to_bytes(2)), 1002),
    "close code 999": (write_masked(FIN | CLOSE, (999).to_bytes(2)), 1002),
    "close code 1004": (write_masked(FIN | CLOSE, (1004).to_bytes(2)), 1002),
    "close code 5000": (write_masked(FIN | CLOSE, (5000).to_bytes(2)), 1002),
    "close reason that is not UTF-8": (write_masked(FIN | CLOSE, (1000).to_bytes(2) + b"\xff"), 1007),
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN)
def test_broken_frame_is_refused_with_its_code(data: bytes, code: int) -> None:
    assert read_all(data) == [code]
    assert read_all(data, list(range(len(data)))) == [code]


def test_frame_that_will_be_refused_is_not_stored() -> None:
    parser = FrameParser(max_message=10)
    parser.feed(b"\x82\xff" + (1 << 40).to_bytes(8))
    with pytest.raises(FrameError, match="at most 10 bytes"):
        parser.read()


def test_fragments_together_are_held_to_the_limit() -> None:
    half = b"x" * (MAX // 2)
    most = write_masked(BINARY, half) + write_masked(FIN | CONTINUATION, half)
    assert read_all(most) == [(BINARY, half * 2)]
    assert read_all(write_masked(BINARY, half) + write_masked(CONTINUATION, half + b"x")) == [1009]


@pytest.mark.parametrize(
    ("opcode", "payload"), [(TEXT, b""), (BINARY, b""), (TEXT, "é".encode()), (BINARY, b"ab")]
)
def test_tiny_fragments_take_no_more_than_their_payload(opcode: int, payload: bytes) -> None:
    parser = FrameParser(max_message=MAX)
    parser.feed(write_masked(opcode))
    assert parser.read() is None
    fragments = write_masked(CONTINUATION, payload) * 1000
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            parser.feed(fragments)
            while parser.ready:
                assert parser.read() is None
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # What is read may wait in a buffer, besides.
    assert after - before < 2 * len(payload) * 20_000 + 2 * len(fragments)


@pytest.mark.parametrize("payload", [b"", b"x", b"x" * 125, "é".encode()])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_short_message_is_read_at_once(opcode: int, payload: bytes) -> None:
    data = write_masked(FIN | opcode, payload)
    assert read_short_message(data) == (payload.decode() if opcode == TEXT else payload)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81",
        b"\x81\x80",
        write_masked(FIN | TEXT, b"abc")[:-1],
        write_masked(FIN | TEXT, b"abc") + b"\x81",
        write_masked(FIN | TEXT, b"abc") * 2,
        write_masked(FIN | TEXT, b"x" * 126),
        b"\x81\xfe" + b"\x00" * 130,
        b"\x81\xff" + b"\x00" * 131,
        write_masked(TEXT, b"abc"),
        write_masked(FIN | CONTINUATION, b"abc"),
        write_masked(FIN | RSV1 | TEXT, b"abc"),
        write_masked(FIN | PING, b"abc"),
        write_masked(FIN | CLOSE),
        b"\x81\x03abc",
    ],
)
def test_anything_else_is_left_to_the_parser(data: bytes) -> None:
    assert read_short_message(data) is None


def test_short_text_must_be_utf8() -> None:
    with pytest.raises(FrameError, match="UTF-8") as caught:
        read_short_message(write_masked(FIN | TEXT, b"\xff"))
    assert caught.value.code == 1007


# On a busy machine an example may take its time.
