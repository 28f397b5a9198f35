"""Answers that are sent in pieces, until their end or until the client disconnects."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

from nitro_py.encoding import encode_text
from nitro_py.event import Event, Receive, Send
from nitro_py.headers import Headers
from nitro_py.runtime.asgi.extensions import DirectSend, find_server_send, find_stream_send
from nitro_py.runtime.containment import contain, contained, log_failure
from nitro_py.runtime.tasks import logger
from nitro_py.runtime.threads import call_in_thread
from nitro_py.sse import EventStream, EventStreamWriter, Source, source_of, writer_of

EVENT_STREAM_HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "private, no-cache, no-store, no-transform, must-revalidate, max-age=0",
    "x-accel-buffering": "no",
}
END = object()

# The time that an answer waits for the first event of its source, in seconds.
FIRST_EVENT = 0.1
# The time that a slow client has to take what was written before its stream was closed, in seconds.
END_TIMEOUT = 10.0


class ClientWatch:
    """A listener that waits for the client to disconnect."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    def writable(self) -> None:
        """Do nothing: there is nothing to write."""

    def abort(self) -> None:
        """Set `left`: the client disconnected."""
        self.left.set()


class AsyncChunkReader:
    """A reader of an async iterator.

    Args:
        chunks: The iterator.
    """

    def __init__(self, chunks: AsyncIterator[Any]) -> None:
        self._chunks = chunks

    async def read(self) -> Any:
        """Return the next item, or `END`."""
        return await contained(anext(self._chunks, END))

    async def close(self) -> None:
        """Close a generator, so that its `finally` runs."""
        if isinstance(self._chunks, AsyncGenerator):
            await contained(self._chunks.aclose())


class ThreadChunkReader:
    """A reader of a plain iterator, which may block, in a thread.

    Args:
        chunks: The iterator.
    """

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks = chunks
        self._step: asyncio.Task[Any] | None = None

    async def read(self) -> Any:
        """Return the next item, or `END`."""
        self._step = asyncio.create_task(call_in_thread(next, self._chunks, END, name="A generator"))
        # A thread cannot be stopped: after a disconnect its step must end before the generator is closed.
        return await asyncio.shield(self._step)

    async def close(self) -> None:
        """Close a generator, so that its `finally` runs."""
        if self._step is not None:
            await asyncio.gather(self._step, return_exceptions=True)
        if isinstance(self._chunks, Generator):
            await call_in_thread(self._chunks.close, name="A generator")


async def send_pieces(
    content: EventStream | AsyncIterator[Any] | Iterator[Any],
    head: Callable[[], tuple[int | None, Headers]],
    event: Event,
    receive: Receive,
    send: Send,
) -> None:
    """Send an answer in pieces.

    Args:
        content: The stream or iterator.
        head: The function that returns the status and the header fields that the handler has set so far.
        event: The request.
        receive: The ASGI receive callable, which reports that the client disconnected.
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
    """Send an event stream until it is closed or its client disconnects."""
    fields = Headers({**EVENT_STREAM_HEADERS, **dict(headers)})
    for cookie in headers.getlist("set-cookie")[1:]:
        fields.append("set-cookie", cookie)
    writer, source = writer_of(stream), source_of(stream)
    pump = None if source is None else asyncio.create_task(_pump(source, stream, writer))
    try:
        if pump is not None:
            await _wait_for_first_event(pump, writer)
        await _start(send, status, fields)
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
    """Send the chunks of an iterator, text or bytes, until it ends or the client disconnects."""
    source = AsyncChunkReader(chunks) if isinstance(chunks, AsyncIterator) else ThreadChunkReader(chunks)
    try:
        # The first chunk is read before the start: an error in it can still become a 500, and a handler that is a
        # generator can still set status and header fields.
        first = _encode_chunk(chunk := await source.read())
        status, headers = head()
        if "content-type" not in headers:
            text = isinstance(chunk, str)
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
        # A client that was too slow may never take what was written before.
        timer = asyncio.get_running_loop().call_later(END_TIMEOUT, direct.abort) if writer.too_slow else None
        await send({"type": "http.response.body", "body": rest, "more_body": True})
        if timer is not None:
            timer.cancel()


async def _copy(writer: EventStreamWriter, send: Send) -> None:
    while (chunk := await writer.read()) is not None:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _copy_chunks(first: bytes | None, next_chunk: Callable[[], Awaitable[Any]], send: Send) -> None:
    body = first
    while body is not None:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        # If neither the source nor the server ever waits, this task could not be cancelled.
        await asyncio.sleep(0)
        body = _encode_chunk(await next_chunk())


def _encode_chunk(chunk: Any) -> bytes | None:
    """Return the bytes of a chunk; the end has none."""
    if chunk is END:
        return None
    if not isinstance(chunk, str | bytes | bytearray | memoryview):
        raise TypeError(f"A piece of an answer is a `{type(chunk).__name__}`: expected text or bytes.")
    return encode_text(chunk) if isinstance(chunk, str) else bytes(chunk)


async def _pump(source: Source, stream: EventStream, writer: EventStreamWriter) -> None:
    """Push a source's items; `push` waits for the client, so the source is never far ahead of it.

    Raises:
        Exception: The source failed before its first event: an answer that looks whole would be reconnected to for
            ever, and in silence.
    """
    reader: AsyncChunkReader | ThreadChunkReader
    if isinstance(source, AsyncIterable):
        reader = AsyncChunkReader(aiter(source))
    else:
        reader = ThreadChunkReader(iter(source))
        _hint("a plain iterator, which takes a thread for each item: expected an async one")
    begun = False
    try:
        while (item := await reader.read()) is not END:
            if isinstance(item, dict):
                _hint("dicts, which are read as fields: expected text or `EventStreamMessage`")
            await stream.push(item)
            begun = True
            # A push after the close does not wait, and the source may never end.
            if writer.closed:
                break
    except BaseException as error:
        failure = contain(error)
        if not begun:
            raise failure from failure.__cause__
        log_failure(logger, failure, "The source of an event stream failed.")
    finally:
        try:
            await contained(reader.close())
        finally:
            await stream.close()


async def _wait_for_first_event(pump: asyncio.Task[None], writer: EventStreamWriter) -> None:
    """Give a source a moment, so that what it cannot send is still an error and no empty stream.

    Raises:
        Exception: The source failed.
    """
    writing = asyncio.create_task(writer.wait_for_first())
    try:
        await asyncio.wait((pump, writing), timeout=FIRST_EVENT, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel(writing)
    if pump.done():
        pump.result()


@functools.cache
def _hint(what: str) -> None:
    """Log once what a source of events should better be."""
    logger.warning("The source of an event stream gives %s.", what)


async def _until_disconnect(work: Any, event: Event, receive: Receive) -> None:
    """Run work to its end, or until the client disconnects."""
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
    # A client that disconnected cannot be sent the end of the stream.
    with contextlib.suppress(OSError):
        await send({"type": "http.response.body", "body": b"", "more_body": False})
