"""Server-sent events."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from nitro_py.encoding import Frame, encode_frame, encode_text
from nitro_py.errors import NitroError
from nitro_py.response import StreamedResponse
from nitro_py.runtime.asgi.extensions import DirectSend, frame_chunk
from nitro_py.runtime.current_app import current_app
from nitro_py.runtime.tasks import pause, run_callback
from nitro_py.runtime.topics.names import check_namespace, check_topic

if TYPE_CHECKING:
    import asyncio

    from nitro_py.event import Event
    from nitro_py.runtime.contracts import Broadcast


LINE_BREAK = re.compile("\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class EventStreamMessage:
    r"""A server-sent event.

    Args:
        data: Text, or a value that is encoded as `Peer.send` does.
        id: The id that the client sends as `Last-Event-ID` when it reconnects.
        event: The event's name; by default `message`.
        retry: The time until the client reconnects, in milliseconds.

    Example:
        >>> format_message(EventStreamMessage("a\\nb", id="7"))
        'id: 7\\ndata: a\\ndata: b\\n\\n'
    """

    data: object = ""
    id: str | None = None
    event: str | None = None
    retry: int | None = None


# The fields by which a dict is a message, as other libraries have them.
_FIELDS = frozenset(field.name for field in fields(EventStreamMessage))


def format_message(message: object) -> str:
    """Write a message in the wire format.

    Args:
        message: Text, an `EventStreamMessage`, or a dict of its fields.

    Raises:
        TypeError: It is none of these, or its data has no JSON form.
        ValueError: Its data holds a number that JSON cannot hold (NaN, infinity), or itself.
    """
    if isinstance(message, str):
        return _format_data(message)
    if isinstance(message, dict) and "data" in message and message.keys() <= _FIELDS:
        message = EventStreamMessage(**message)
    if not isinstance(message, EventStreamMessage):
        got = f"a dict with the keys {sorted(map(str, message))}" if isinstance(message, dict) else repr(message)
        raise TypeError(
            f"An event stream cannot send {got}: expected text, an `EventStreamMessage`, or a dict of its fields "
            "with `data`; other values go into `EventStreamMessage(data=…)`."
        )
    lines = ""
    if message.id is not None:
        # A NUL would make the client ignore the id.
        lines += f"id: {_one_line(message.id).replace(chr(0), '')}\n"
    if message.event is not None:
        lines += f"event: {_one_line(message.event)}\n"
    if isinstance(message.retry, int) and not isinstance(message.retry, bool):
        lines += f"retry: {message.retry}\n"
    return lines + _format_data(_read_text(encode_frame(message.data)))


def format_comment(text: str) -> str:
    """Return a comment in the wire format."""
    return "".join(f": {line}\n" for line in LINE_BREAK.split(text)) + "\n"


def encode_event(frame: Frame) -> bytes:
    """Return a topic's frame as an event."""
    return format_message(_read_text(frame)).encode()


def encode_chunk(frame: Frame) -> bytes:
    """Return a topic's frame as an event, framed as a chunk of a body."""
    return frame_chunk(encode_event(frame))


def _read_text(frame: Frame) -> str:
    return frame if isinstance(frame, str) else frame.decode("utf-8", "replace")


def _format_data(text: str) -> str:
    return "".join(f"data: {line}\n" for line in LINE_BREAK.split(text)) + "\n"


def _one_line(text: str) -> str:
    return str(text).replace("\r", "").replace("\n", "")


logger = logging.getLogger("nitro_py.sse")

# The most bytes that may wait for a slow client before `push` waits, too.
BUFFER_LIMIT = 64 * 1024
HEARTBEAT = b": \n\n"

# `task.cancel` is the usual callback, and it returns a bool.
ClosedCallback = Callable[[], Awaitable[None] | bool | None]
Pushable = str | EventStreamMessage | dict[str, Any] | list[Any]
Source = AsyncIterable[Any] | Iterable[Any]


class EventStreamWriter:
    """What waits to be sent on one event stream, and the way to its client; for adapters.

    The client's bytes are taken by `read`, or written straight to the connection by `write_to`.

    Args:
        heartbeat: Seconds of silence until a comment is sent; 0 for none.
    """

    __slots__ = (
        "_callbacks",
        "_chunks",
        "_direct",
        "_held",
        "_last_write",
        "_loop",
        "_ready",
        "_room",
        "_size",
        "_start_after",
        "_timer",
        "_unbroken",
        "closed",
        "heartbeat",
        "paused",
        "too_slow",
    )

    def __init__(self, heartbeat: float) -> None:
        import asyncio  # Only a handler that streams needs an event loop.

        self.heartbeat = heartbeat
        self.paused = False
        # Whether either side has closed the stream, and whether this was because the client took too little.
        self.closed = False
        self.too_slow = False
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[bytes] = deque()
        self._held: list[bytes] = []
        self._size = 0
        self._callbacks: list[ClosedCallback] = []
        self._start_after: asyncio.Task[None] | None = None
        self._direct: DirectSend | None = None
        self._unbroken = 0
        self._last_write = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    @property
    def direct_writer(self) -> None:
        """Always `None`: a stream notes when it was written to, and sends heartbeats in between."""

    async def put(self, chunk: bytes) -> None:
        """Send bytes, or hold them back while the stream is paused; wait while the client is slow."""
        if self.closed:
            return
        if self.paused:
            self._held.append(chunk)
        else:
            await self._enqueue(chunk)

    async def flush(self) -> None:
        """Send what was held back."""
        held, self._held = self._held, []
        if held:
            await self._enqueue(b"".join(held))

    def on_closed(self, callback: ClosedCallback) -> None:
        """Call a function once when the stream ends; at once if it has ended."""
        if self.closed:
            run_callback(callback)
        else:
            self._callbacks.append(callback)

    async def close(self) -> None:
        """End the stream after what was pushed so far."""
        if not self.closed:
            await self.flush()
            self._finish()

    def abort(self) -> None:
        """End the stream at once, because its client left."""
        self._chunks.clear()
        self._held.clear()
        self._finish()

    def deliver(self, broadcast: Broadcast) -> None:
        """Send a topic's message without waiting; cut off a client that is too slow for it, which reconnects."""
        if self.closed:
            return
        direct = self._direct
        # Written here and not by `_append`: the row `sse` of the benchmark is nothing but this.
        if direct is not None and not direct.paused:
            self._last_write = self._loop.time()
            direct.write_chunk(broadcast.encode(encode_chunk))
        elif self._size <= BUFFER_LIMIT:
            self._append(broadcast.encode(encode_event))
        else:
            logger.warning("Closed a slow event stream: more than %d bytes waited for it.", BUFFER_LIMIT)
            self.too_slow = True
            self.abort()

    def hold_until(self, work: Coroutine[Any, Any, None]) -> None:
        """Keep the first bytes from the client until some work is done."""
        self._start_after = self._loop.create_task(work)

    async def ready(self) -> None:
        """Wait until the first bytes may go to the client."""
        if self._start_after is not None:
            await self._start_after
            self._start_after = None

    async def wait_for_first(self) -> None:
        """Wait until something can be sent; to be called before the stream is read or written."""
        await self._ready.wait()

    async def write_to(self, direct: DirectSend) -> bytes:
        """Write straight to the connection until either side closes the stream.

        Args:
            direct: The connection, which took the writer as its listener.

        Returns:
            The bytes that the client has not taken yet.
        """
        self._direct = direct
        self.writable()
        if self.heartbeat:
            self._last_write = self._loop.time()
            self._timer = self._loop.call_later(self.heartbeat, self._beat)
        try:
            while not self.closed:
                self._ready.clear()
                await self._ready.wait()
        finally:
            self._direct = None
            if self._timer is not None:
                self._timer.cancel()
        return self._take()

    def writable(self) -> None:
        """Write what waits: the client takes bytes again."""
        if self._direct is not None and self._chunks:
            self._last_write = self._loop.time()
            self._direct.write_chunk(frame_chunk(self._take()))

    async def read(self) -> bytes | None:
        """Return the next bytes for the client, a heartbeat if there are none in time, `None` at the end."""
        from asyncio import timeout

        await self.ready()
        while not self._chunks:
            if self.closed:
                return None
            self._ready.clear()
            try:
                # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes with the event.
                async with timeout(self.heartbeat or None):
                    await self._ready.wait()
            except TimeoutError:
                return HEARTBEAT
        return self._take()

    def _take(self) -> bytes:
        """Remove and return what waits for the client."""
        chunk = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        self._room.set()
        return chunk

    def _beat(self) -> None:
        """Send a heartbeat if nothing was sent for as long; one timer serves the whole stream."""
        silence = self._loop.time() - self._last_write
        if silence >= self.heartbeat and not self._chunks:
            self._append(HEARTBEAT)
            silence = 0.0
        self._timer = self._loop.call_later(max(self.heartbeat - silence, 0.0), self._beat)

    async def _enqueue(self, chunk: bytes) -> None:
        self._append(chunk)
        self._unbroken += len(chunk)
        if self._size > BUFFER_LIMIT:
            self._room.clear()
            await self._room.wait()
        elif self._unbroken > BUFFER_LIMIT:
            # A client that takes everything at once never makes a push wait, and the source may never end.
            self._unbroken = 0
            await pause()

    def _append(self, chunk: bytes) -> None:
        direct = self._direct
        if direct is not None and not direct.paused:
            self._last_write = self._loop.time()
            direct.write_chunk(frame_chunk(chunk))
            return
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._ready.set()

    def _finish(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._ready.set()
        self._room.set()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            run_callback(callback)


class EventStream(StreamedResponse):
    """An answer that sends events until either side closes it; made by `create_event_stream`.

    Follows the HTML standard, section 9.2, "Server-sent events".

    Args:
        heartbeat: Seconds of silence until a comment is sent; 0 for none.
        source: An async or plain iterator whose items are pushed.

    Example:
        @define_handler
        async def handler(event: Event) -> EventStream:
            stream = create_event_stream(event)
            await stream.push("hello")
            return stream.send()
    """

    def __init__(self, *, heartbeat: float = 0.0, source: Source | None = None) -> None:
        self._writer = EventStreamWriter(heartbeat)
        self._source = source

    async def push(self, message: Pushable) -> None:
        """Send a message, or several; wait while the client is slow.

        After the close it does nothing.

        Args:
            message: Text, an `EventStreamMessage`, a dict of its fields, or a list of them.

        Raises:
            TypeError: It is none of these.
        """
        for item in message if isinstance(message, list) else [message]:
            await self._writer.put(encode_text(format_message(item)))

    async def push_comment(self, text: str) -> None:
        """Send a comment, which clients ignore."""
        await self._writer.put(encode_text(format_comment(text)))

    def pause(self) -> None:
        """Hold messages back until `resume` or `flush`."""
        self._writer.paused = True

    async def resume(self) -> None:
        """Send what was held back, and further messages at once."""
        self._writer.paused = False
        await self._writer.flush()

    async def flush(self) -> None:
        """Send what was held back; a paused stream stays paused."""
        await self._writer.flush()

    def on_closed(self, callback: ClosedCallback) -> None:
        """Call a function once when either side ends the stream; at once if it has ended.

        Args:
            callback: A function without arguments, sync or async. An exception in it is logged.
        """
        self._writer.on_closed(callback)

    async def close(self) -> None:
        """End the stream after what was pushed so far; a second call does nothing."""
        await self._writer.close()

    def send(self) -> EventStream:
        """Return the stream itself, for the handler to return."""
        return self


def writer_of(stream: EventStream) -> EventStreamWriter:
    """Return the writer of a stream, for adapters."""
    return stream._writer


def source_of(stream: EventStream) -> Source | None:
    """Return the source of a stream, whose items adapters push; `None` if the handler pushes messages."""
    return stream._source


def create_event_stream(
    event: Event,
    source: Source | None = None,
    *,
    subscribe: str | None = None,
    namespace: str | None = None,
    heartbeat: float | None = None,
) -> EventStream:
    """Start a stream of server-sent events as the answer to a request.

    Args:
        event: The request.
        source: An async iterator whose items are pushed as the client takes them. It is closed when the client
            disconnects, so that its `finally` runs. A plain iterator is read in a thread.
        subscribe: A topic whose messages are sent to the client; the route must declare it by
            `define_handler(topics=True)`.
        namespace: The topic's namespace; `None` means all.
        heartbeat: Seconds of silence until a comment is sent, 0 for none; by default `sse.heartbeat`.

    Returns:
        The stream, for the handler to return.

    Raises:
        NitroError: `subscribe` is given and the route does not declare `topics=True`, or no app runs in this
            process.
        TypeError: The topic or the namespace is no text, or the source cannot be iterated over.
        ValueError: The topic has more than 4096 bytes, or UTF-8 cannot express it or the namespace.

    Follows the HTML standard, section 9.2, "Server-sent events".

    Example:
        @define_handler
        async def handler(event: Event) -> EventStream:
            return create_event_stream(event, countdown(10))
    """
    if subscribe is not None and "topics.sse" not in event.declared:
        raise NitroError(
            f"The route streams the topic `{subscribe}` without declaring it.",
            hint="Write `@define_handler(topics=True)`: the build refuses targets that cannot do it.",
        )
    if subscribe is not None:
        check_topic(subscribe)
    check_namespace(namespace)
    if source is not None:
        _check_source(source)
    app = current_app()
    stream = EventStream(heartbeat=app.settings.sse.heartbeat if heartbeat is None else heartbeat, source=source)
    app.add_stream(writer_of(stream), subscribe, namespace)
    # A stream that the handler does not return would be kept as long as the process.
    event.on_answered(writer_of(stream).abort)
    return stream


def _check_source(source: object) -> None:
    # Texts and dicts can be iterated over, too, and mean one message.
    if isinstance(source, str | bytes | dict) or not isinstance(source, AsyncIterable | Iterable):
        called = " Was it not called?" if callable(source) else ""
        raise TypeError(f"The source of an event stream is {source!r}: expected an async iterator.{called}")


def event_stream_last_id(event: Event) -> str | None:
    """Return the id of the last event that a reconnecting client received.

    Args:
        event: The request.

    Returns:
        The field `Last-Event-ID` (HTML standard, section 9.2.4); `None` if the request has none.

    Example:
        start = int(event_stream_last_id(event) or 0) + 1
    """
    return event.headers.get("last-event-id")
