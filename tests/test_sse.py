"""Server-sent events: the wire format, and a stream's life."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nitro_py.runtime.contracts import Broadcast
from nitro_py.sse import BUFFER_LIMIT, EventStream, EventStreamMessage, format_comment, format_message, writer_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        ("hello", "data: hello\n\n"),
        ("", "data: \n\n"),
        ("a\nb\r\nc\rd", "data: a\ndata: b\ndata: c\ndata: d\n\n"),
        ("a\n", "data: a\ndata: \n\n"),
        ("a\u2028b\x0bc\x85d", "data: a\u2028b\x0bc\x85d\n\n"),
        (": id: event:", "data: : id: event:\n\n"),
        (EventStreamMessage("x", id="7"), "id: 7\ndata: x\n\n"),
        (EventStreamMessage("x", id=""), "id: \ndata: x\n\n"),
        (EventStreamMessage("x", id="7\r\nevent: evil\0"), "id: 7event: evil\ndata: x\n\n"),
        (EventStreamMessage("x", event="tick\n\ndata: evil"), "event: tickdata: evil\ndata: x\n\n"),
        (EventStreamMessage("x", id="1", event="e", retry=500), "id: 1\nevent: e\nretry: 500\ndata: x\n\n"),
        (EventStreamMessage("x", retry=0), "retry: 0\ndata: x\n\n"),
        (EventStreamMessage({"a": [1, "b"]}), 'data: {"a":[1,"b"]}\n\n'),
        (EventStreamMessage(None), "data: \n\n"),
    ],
)
async def test_wire_format(message: str | EventStreamMessage, wire: str) -> None:
    assert format_message(message) == wire


@pytest.mark.parametrize("retry", ["500", 1.5, True, "1\ndata: evil"])
async def test_retry_that_is_no_integer_is_left_out(retry: Any) -> None:
    assert format_message(EventStreamMessage("x", retry=retry)) == "data: x\n\n"


async def test_comments() -> None:
    assert format_comment("still here") == ": still here\n\n"
    assert format_comment("a\r\nb\nc") == ": a\n: b\n: c\n\n"


async def test_messages_come_in_order_and_then_the_end() -> None:
    stream = EventStream()
    await stream.push("1")
    await stream.push(["2", EventStreamMessage("3", id="c")])
    await stream.push_comment("x")
    await stream.close()
    await stream.push("late")
    assert await writer_of(stream).read() == b"data: 1\n\ndata: 2\n\nid: c\ndata: 3\n\n: x\n\n"
    assert await writer_of(stream).read() is None
    assert writer_of(stream).closed


async def test_paused_stream_holds_messages_back() -> None:
    stream = EventStream()
    stream.pause()
    await stream.push("1")
    reading = asyncio.create_task(writer_of(stream).read())
    await asyncio.sleep(0)
    assert not reading.done()
    await stream.flush()
    assert await reading == b"data: 1\n\n"
    await stream.push("2")
    await stream.resume()
    await stream.push("3")
    assert await writer_of(stream).read() == b"data: 2\n\ndata: 3\n\n"


async def test_close_sends_what_was_held_back() -> None:
    stream = EventStream()
    stream.pause()
    await stream.push("1")
    await stream.close()
    assert await writer_of(stream).read() == b"data: 1\n\n"
    assert await writer_of(stream).read() is None


async def test_abort_drops_what_waits() -> None:
    stream = EventStream()
    await stream.push("1")
    writer_of(stream).abort()
    assert await writer_of(stream).read() is None


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_callbacks_run_once_and_late_ones_at_once(end: str) -> None:
    stream = EventStream()
    calls: list[str] = []

    async def later() -> None:
        calls.append("async")

    stream.on_closed(lambda: calls.append("first"))
    stream.on_closed(later)
    stream.on_closed(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    stream.on_closed(lambda: calls.append("last"))
    for _ in range(2):
        await stream.close() if end == "close" else writer_of(stream).abort()
    await asyncio.sleep(0)
    assert calls == ["first", "last", "async"]
    stream.on_closed(lambda: calls.append("late"))
    assert calls[3:] == ["late"]


async def test_push_waits_for_a_slow_client() -> None:
    stream = EventStream()
    pushing = asyncio.create_task(stream.push("x" * (BUFFER_LIMIT + 1)))
    await asyncio.sleep(0)
    assert not pushing.done()
    await writer_of(stream).read()
    await asyncio.wait_for(pushing, 30)


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_end_frees_who_waits(end: str) -> None:
    stream = EventStream()
    pushing = asyncio.create_task(stream.push("x" * (BUFFER_LIMIT + 1)))
    await asyncio.sleep(0)
    await stream.close() if end == "close" else writer_of(stream).abort()
    await asyncio.wait_for(pushing, 30)


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_end_wakes_who_reads(end: str) -> None:
    stream = EventStream()
    reading = asyncio.create_task(writer_of(stream).read())
    await asyncio.sleep(0)
    await stream.close() if end == "close" else writer_of(stream).abort()
    assert await asyncio.wait_for(reading, 30) is None


async def test_topic_does_not_wait_for_a_slow_client() -> None:
    stream = EventStream()
    writer_of(stream).deliver(Broadcast("x" * BUFFER_LIMIT))
    await writer_of(stream).read()
    writer_of(stream).deliver(Broadcast("x" * BUFFER_LIMIT))
    assert not writer_of(stream).closed
    writer_of(stream).deliver(Broadcast("y"))
    assert writer_of(stream).closed
    writer_of(stream).deliver(Broadcast("late"))
    assert await writer_of(stream).read() is None


async def test_heartbeat_fills_the_silence() -> None:
    stream = EventStream(heartbeat=0.01)
    assert await writer_of(stream).read() == b": \n\n"
    await stream.push("1")
    assert await writer_of(stream).read() == b"data: 1\n\n"
    assert await writer_of(stream).read() == b": \n\n"
