"""Sending answers piece by piece, and noticing that the client left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

from nitro_py.event import Event, Receive, Send
from nitro_py.headers import Headers
from nitro_py.runtime.asgi.extensions import DirectSend, find_server_send, find_stream_send
from nitro_py.runtime.tasks import logger
from nitro_py.sse import EventStream, EventStreamWriter, source_of, writer_of

EVENT_STREAM_HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "private, no-cache, no-store, no-transform, must-revalidate, max-age=0",
    "x-accel-buffering": "no",
}
END = object()

# How long a client that was cut off may take for what was written before, in seconds.
END_TIMEOUT = 10.0


class ClientWatch:
    """Learns that the client left, whoever reads what it sends."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    def writable(self) -> None:
        """Has nothing to write."""

    def abort(self) -> None:
        """Note that the client left."""
        self.left.set()


class AsyncChunkReader:
    """Reads an async iterator.

    Args:
        chunks: The iterator.
    """

    def __init__(self, chunks: AsyncIterator[Any]) -> None:
        self._chunks = chunks

    async def read(self) -> Any:
        """Return the next item, or `END`."""
        return await anext(self._chunks, END)

    async def close(self) -> None:
        """Let a generator clean up."""
        if isinstance(self._chunks, AsyncGenerator):
            await self._chunks.aclose()


class ThreadChunkReader:
    """Reads a plain iterator, which may block, in a thread.

    Args:
        chunks: The iterator.
    """

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks = chunks
        self._step: asyncio.Task[Any] | None = None

    async def read(self) -> Any:
        """Return the next item, or `END`."""
        self._step = asyncio.create_task(asyncio.to_thread(next, self._chunks, END))
        # Nobody can stop a thread: its step goes on where the client has left, and ends before the generator does.
        return await asyncio.shield(self._step)

    async def close(self) -> None:
        """Let a generator clean up."""
        if self._step is not None:
            await asyncio.gather(self._step, return_exceptions=True)
        if isinstance(self._chunks, Generator):
            await asyncio.to_thread(self._chunks.close)


async def send_pieces(
    content: EventStream | AsyncIterator[Any] | Iterator[Any],
    head: Callable[[], tuple[int | None, Headers]],
    event: Event,
    receive: Receive,
    send: Send,
) -> None:
    """Send an answer that comes piece by piece.

    Args:
        content: What gives the pieces.
        head: Gives the status and the header fields that the handler has set so far.
        event: The request.
        receive: The ASGI receive callable, which tells that the client left.
        send: The ASGI send callable.
    """
    if isinstance(content, EventStream):
        status, headers = head()
        await send_event_stream(content, status or 200, headers, event, receive, send)
    else:
        await send_chunks(content, head, event, receive, send)


async def send_event_stream(
    stream: EventStream, status: int, headers: Headers, event: Event, receive: Receive, send: Send
) -> None:
    """Send an event stream until it is closed or its client leaves."""
    fields = Headers({**EVENT_STREAM_HEADERS, **dict(headers)})
    for cookie in headers.getlist("set-cookie")[1:]:
        fields.append("set-cookie", cookie)
    await _start(send, status, fields)
    writer, source = writer_of(stream), source_of(stream)
    pump = None if source is None else asyncio.create_task(_pump(source, stream, writer))
    try:
        if event.method != "HEAD":
            await _send_events(writer, event, receive, send)
    finally:
        writer.abort()
        if pump is not None:
            await _cancel(pump)
    await _end(send)


async def send_chunks(
    chunks: AsyncIterator[Any] | Iterator[Any],
    head: Callable[[], tuple[int | None, Headers]],
    event: Event,
    receive: Receive,
    send: Send,
) -> None:
    """Send the chunks of an iterator, text or bytes, until it ends or the client leaves."""
    source = AsyncChunkReader(chunks) if isinstance(chunks, AsyncIterator) else ThreadChunkReader(chunks)
    try:
        # The first chunk is taken before the start, so that an error in it can still become a 500, and a handler
        # that is a generator can still set status and header fields.
        first = await source.read()
        status, headers = head()
        if "content-type" not in headers:
            text = isinstance(first, str)
            headers["content-type"] = "text/plain; charset=utf-8" if text else "application/octet-stream"
        await _start(send, status or 200, headers)
        if event.method != "HEAD":
            await _until_disconnect(_copy_chunks(first, source.read, send), event, receive)
        await _end(send)
    finally:
        await source.close()


async def _send_events(writer: EventStreamWriter, event: Event, receive: Receive, send: Send) -> None:
    direct = find_stream_send(event.scope, send)
    if direct is not None:
        await writer.ready()
    if direct is None or not direct.open_stream(writer):
        await _until_disconnect(_copy(writer, send), event, receive)
    else:
        rest = await writer.write_to(direct)
        # One that was cut off may never take what was written before.
        timer = asyncio.get_running_loop().call_later(END_TIMEOUT, direct.abort) if writer.too_slow else None
        await send({"type": "http.response.body", "body": rest, "more_body": True})
        if timer is not None:
            timer.cancel()


async def _copy(writer: EventStreamWriter, send: Send) -> None:
    while (chunk := await writer.read()) is not None:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _copy_chunks(first: Any, next_chunk: Callable[[], Awaitable[Any]], send: Send) -> None:
    chunk = first
    while chunk is not END:
        body = chunk.encode() if isinstance(chunk, str) else bytes(chunk)
        await send({"type": "http.response.body", "body": body, "more_body": True})
        # Neither a source that is ready nor the server of a client that left suspends us: nobody could stop us.
        await asyncio.sleep(0)
        chunk = await next_chunk()


async def _pump(source: AsyncIterator[Any], stream: EventStream, writer: EventStreamWriter) -> None:
    """Push a source's items; `push` waits for the client, so the source is never far ahead of it."""
    try:
        async for item in source:
            await stream.push(item)
            # A push that does nothing does not suspend us either, and the source may never end.
            if writer.closed:
                break
    except Exception:
        logger.exception("The source of an event stream failed.")
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()
        await stream.close()


async def _until_disconnect(work: Any, event: Event, receive: Receive) -> None:
    """Run work to its end, or until the client leaves."""
    working = asyncio.ensure_future(work)
    server = find_server_send(event.scope)
    listening = asyncio.ensure_future(_wait_for_disconnect(receive) if server is None else _watch(server))
    try:
        await asyncio.wait((working, listening), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        await _cancel(working)
        await _cancel(listening)


async def _watch(server: DirectSend) -> None:
    watch = ClientWatch()
    server.watch(watch)
    await watch.left.wait()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, OSError):
        await task


async def _start(send: Send, status: int, headers: Headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers.to_raw()})


async def _end(send: Send) -> None:
    # A client that left cannot be told that the stream has ended.
    with contextlib.suppress(OSError):
        await send({"type": "http.response.body", "body": b"", "more_body": False})
