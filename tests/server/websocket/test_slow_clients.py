"""What comes in which order to a client that reads late, and what a bomb may take of the memory."""

from __future__ import annotations

import asyncio
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nitro_py.runtime.contracts import Broadcast
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
    write_close,
)
from nitro_py.server.websocket.parser import FrameParser
from nitro_py.websocket import CloseDetails
from tests.server.websocket.raw import RawClient, open_socket, serve, write_masked
from tests.server.websocket.recorder import Recorder
from tests.server.websocket.test_channel import LIMIT, fill, read_numbers, stall

pytestmark = pytest.mark.anyio


async def read_until_close(client: RawClient) -> tuple[list[int], bytes]:
    """Read on, and return the numbers that came before the close frame, and that frame's content."""
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    numbers = []
    while (frame := await client.read_frame())[0] == FIN | TEXT:
        numbers.append(int(frame[1][:10].split()[0]))
    assert frame[0] == FIN | CLOSE
    return numbers, frame[1]


async def test_close_comes_behind_the_frames_that_wait() -> None:
    app = Recorder(limit=LIMIT)
    async with serve(app) as port, open_socket(port) as (client, _):
        stall(client)
        count = await fill(app)
        await app.channel.close(4000, "done")
        numbers, payload = await read_until_close(client)
        assert numbers == list(range(count))
        assert payload == (4000).to_bytes(2) + b"done"
        client.send(FIN | CLOSE, payload)
        assert await client.read_rest() == b""
        assert await app.end() == CloseDetails(4000, "done")


async def test_pings_and_pongs_come_behind_the_frames_that_wait() -> None:
    app = Recorder(limit=LIMIT)
    async with serve(app) as port, open_socket(port) as (client, _):
        stall(client)
        count = await fill(app)
        app.channel.ping()
        client.send(FIN | PING, b"yours")
        client.send(FIN | TEXT, b"heard")
        await app.reach(lambda: app.messages == ["heard"])
        app.channel.deliver(Broadcast("last"))
        await app.channel.close(1000, "")
        await read_numbers(client, count)
        assert [await client.read_frame() for _ in range(4)] == [
            (FIN | PING, b""),
            (FIN | PONG, b"yours"),
            (FIN | TEXT, b"last"),
            (FIN | CLOSE, (1000).to_bytes(2)),
        ]


async def test_close_of_a_slow_client_is_answered_before_what_it_did_not_read() -> None:
    app = Recorder(limit=LIMIT)
    async with serve(app) as port, open_socket(port) as (client, _):
        stall(client)
        count = await fill(app)
        client.send(FIN | CLOSE, (4001).to_bytes(2) + b"bye")
        assert await app.end() == CloseDetails(4001, "bye")
        numbers, payload = await read_until_close(client)
        # What the transport had taken still comes; what waited here does not.
        assert numbers == list(range(len(numbers)))
        assert len(numbers) < count
        assert payload == (4001).to_bytes(2)
        assert await client.read_rest() == b""


async def test_slow_client_that_breaks_the_protocol_is_told_before_what_it_did_not_read() -> None:
    app = Recorder(limit=LIMIT)
    async with serve(app) as port, open_socket(port) as (client, _):
        stall(client)
        count = await fill(app)
        client.send(FIN | CONTINUATION, b"of what")
        assert (await app.end()).code == 1002
        numbers, payload = await read_until_close(client)
        assert len(numbers) < count
        assert payload[:2] == (1002).to_bytes(2)


async def test_client_that_gives_no_code_is_told_as_1005_and_answered_without_one() -> None:
    told = []

    async def app(scope: object, receive: object, send: object) -> None:
        await send({"type": "websocket.accept"})  # type: ignore[operator]
        while (message := await receive())["type"] != "websocket.disconnect":  # type: ignore[operator]
            pass
        told.append((message["code"], message["reason"]))

    async with serve(app) as port, open_socket(port) as (client, _):
        client.send(FIN | CLOSE)
        assert await client.read_rest() == write_close(1005, "") == bytes((FIN | CLOSE, 0))
        await asyncio.sleep(0)
    assert told == [(1005, "")]


ROOM = 1 << 20
# How much a message may take beside itself: its parts, a copy, what decompression looks ahead.
MOST = 6 * ROOM


@contextmanager
def measure_memory() -> Iterator[list[int]]:
    """Measure the most memory that the block takes, in bytes."""
    peak: list[int] = []
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()


def make_bomb(size: int) -> bytes:
    """Compress zeros into a thousandth of their size."""
    stream = zlib.compressobj(9, wbits=-15)
    return (stream.compress(bytes(size)) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("pieces", [1, 2, 50])
def test_bomb_takes_no_more_memory_than_a_message_may(pieces: int, kind: int) -> None:
    bomb = make_bomb(100 * ROOM)
    cut = -(-len(bomb) // pieces)
    frames = []
    for start in range(0, len(bomb), cut):
        final = FIN if start + cut >= len(bomb) else 0
        frames.append(
            write_masked(final | (RSV1 | kind if start == 0 else CONTINUATION), bomb[start : start + cut])
        )
    parser = FrameParser(max_message=ROOM, compression=True)

    def read() -> None:
        for frame in frames:
            parser.feed(frame)
            assert parser.read() is None

    with measure_memory() as peak, pytest.raises(FrameError, match="at most 1048576 bytes") as caught:
        read()
    assert caught.value.code == 1009
    assert peak[0] < MOST


def test_many_bombs_that_are_just_small_enough_are_not_kept() -> None:
    parser = FrameParser(max_message=ROOM, compression=True)
    frame = write_masked(FIN | RSV1 | BINARY, make_bomb(ROOM))
    with measure_memory() as peak:
        for _ in range(20):
            parser.feed(frame)
            event = parser.read()
            assert event is not None
            assert len(event[1]) == ROOM
            del event
    assert parser.empty
    assert peak[0] < MOST
