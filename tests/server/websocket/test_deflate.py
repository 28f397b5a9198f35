"""Reading compressed messages."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest

from nitro_py.server.websocket.frames import (
    BINARY,
    CONTINUATION,
    FIN,
    PING,
    RSV1,
    TEXT,
    FrameError,
)
from nitro_py.server.websocket.parser import FrameParser
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


def finish(payload: bytes) -> bytes:
    """Compress a payload with a final block, as some clients do (RFC 7692, section 7.2.3.4)."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(payload) + stream.flush()


@pytest.mark.parametrize("end", [b"", b"\x00"])
def test_message_may_end_with_a_final_block(end: bytes) -> None:
    body = finish(b"hello") + end
    assert read_all(write_masked(FIN | RSV1 | TEXT, body), compression=True) == [(TEXT, "hello")]
    parts = [
        write_masked(RSV1 | TEXT, body[:3]),
        *(write_masked(CONTINUATION, body[i : i + 1]) for i in range(3, len(body))),
    ]
    assert read_all(b"".join((*parts, write_masked(FIN | CONTINUATION))), compression=True) == [(TEXT, "hello")]


@pytest.mark.parametrize(
    "data",
    [
        write_masked(FIN | RSV1 | BINARY, finish(b"hello") + b"x"),
        write_masked(FIN | RSV1 | BINARY, finish(b"hello") + deflate(b"more")),
        write_masked(RSV1 | BINARY, finish(b"hello")) + write_masked(CONTINUATION, b"x" * 100),
        write_masked(RSV1 | BINARY, finish(b"hello") + b"\x00") + write_masked(FIN | CONTINUATION, b"\x00"),
    ],
    ids=["a byte", "a block", "a fragment", "too long an end"],
)
def test_nothing_may_follow_a_final_block(data: bytes) -> None:
    assert read_all(data, compression=True) == [1002]


@pytest.mark.parametrize("kind", ["stored", "fixed", "dynamic"])
def test_block_that_is_cut_is_no_whole_message(kind: str) -> None:
    payload = (
        random.Random(3).randbytes(500) if kind == "stored" else bytes(random.Random(3).choices(b"abcdef", k=500))
    )
    stream = zlib.compressobj(
        0 if kind == "stored" else 9, wbits=-15, strategy=zlib.Z_FIXED if kind == "fixed" else 0
    )
    body = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
    whole = body.removesuffix(b"\x00\x00\xff\xff")
    assert read_all(write_masked(FIN | RSV1 | BINARY, whole), compression=True) == [(BINARY, payload)]
    # The first byte alone is an empty message where the block is stored.
    for size in range(2, len(whole) - 2):
        assert read_all(write_masked(FIN | RSV1 | BINARY, whole[:size]), compression=True) == [1002]


def drain(parser: FrameParser) -> None:
    """Read all that was fed."""
    while parser.ready:
        parser.read()


@pytest.mark.parametrize("ended", [False, True])
def test_memory_is_bounded_whatever_a_compressed_message_would_become(ended: bool) -> None:
    most = 64 * 1024
    bomb = deflate(b"x" * 50_000_000)
    head = finish(b"x") if ended else b""
    frames = write_masked(RSV1 | BINARY, head) + b"".join(
        write_masked(CONTINUATION, bomb[:40_000]) for _ in range(100)
    )
    parser = FrameParser(max_message=most, compression=True)
    parser.feed(frames)
    tracemalloc.start()
    try:
        with pytest.raises(FrameError) as failed:
            drain(parser)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert failed.value.code == (1002 if ended else 1009)
    assert peak < 6 * most
