"""One request and its answer on an HTTP connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from nitro_py.runtime.asgi.extensions import StreamListener
from nitro_py.server.http.head import (
    FAILED,
    FAILED_FIELDS,
    KEPT_LINES,
    STATUS_LINES,
    check_lines,
    encode_checked,
    encode_default,
    write_safe_line,
)
from nitro_py.server.logging import LogAccess
from nitro_py.server.uvicorn_internals import ServerState

logger = logging.getLogger("uvicorn.error")

# Fields that change how the answer is sent.
_FRAMING = frozenset({b"connection", b"transfer-encoding"})
# How much of a body is read and dropped once its request is answered, in bytes: many clients read no answer before
# they have sent it all.
MAX_DROPPED: Final = 8 * 1024 * 1024
_LAST_CHUNK = b"0\r\n\r\n"
_find_line = KEPT_LINES.get
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class CycleOwner(Protocol):
    """An HTTP connection, as far as its request cycles need it.

    Args:
        loop: The event loop.
        transport: The connection's transport.
        state: uvicorn's record of its connections and tasks.
        log: Writes the access log, if there is one.
        write_paused: Whether the client takes bytes more slowly than they come.
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    state: ServerState
    log: LogAccess | None
    write_paused: bool

    async def drain(self) -> None:
        """Wait until the client takes bytes again, or is gone."""

    def resume_reading(self) -> None:
        """Take bytes from the client again."""

    def stop_reading(self) -> None:
        """End a connection whose client goes on with a body that was answered; it may still read the answer."""

    def finish(self, cycle: RequestCycle) -> None:
        """Go on after an answer."""


class RequestCycle:
    """One request and its answer, and the ASGI `send` of that request.

    Implements `DirectSend`: a whole answer is one write, without a message (rows `http` and `http-500`), and an
    event stream's chunks go straight to the transport (row `sse`).

    Args:
        owner: The connection.
        method: The request's method.
        chunks: Whether the client understands chunks, as from HTTP/1.1 on.
        keep_alive: Whether the connection goes on after the answer.
        expects_continue: Whether the client waits for 100 before it sends the body (RFC 9110, section 10.1.1).
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_chunks",
        "_complete",
        "_disconnected",
        "_dropped",
        "_expects_continue",
        "_left",
        "_listener",
        "_method",
        "_more_body",
        "_news",
        "_owner",
        "_scope",
        "_task",
        "_waiter",
        "keep_alive",
        "started",
    )

    def __init__(
        self, owner: CycleOwner, method: str, *, chunks: bool, keep_alive: bool, expects_continue: bool
    ) -> None:
        self.keep_alive = keep_alive
        self.started = False
        self._owner = owner
        self._method = method
        self._chunks = chunks
        self._expects_continue = expects_continue
        # The request: what is there of its body, whether more comes, and whether `receive` has news.
        self._body: bytes | bytearray = b""
        self._dropped = 0
        self._more_body = True
        self._news = False
        self._waiter: asyncio.Future[None] | None = None
        # The answer: how its body ends, by chunks, after some bytes, or with the connection.
        self._chunked = False
        self._left: int | None = 0
        self._complete = False
        self._disconnected = False
        self._listener: StreamListener | None = None
        # Only the access log needs it; a reference to it from here is a cycle.
        self._scope: Any = None
        self._task: asyncio.Task[None] | None = None

    @property
    def paused(self) -> bool:
        """Whether the client takes bytes more slowly than they come."""
        return self._owner.write_paused

    @property
    def holds_back(self) -> bool:
        """Whether the client waits for 100 before it sends the body."""
        return self._expects_continue

    def start(self, app: Any, scope: Any) -> None:
        """Let the app answer in a task of its own."""
        self._task = self._owner.loop.create_task(self._run(app, scope))
        self._owner.state.tasks.add(self._task)

    async def _run(self, app: Any, scope: Any) -> None:
        """Let the app answer; an error ends the connection, after a 500 if nothing was sent."""
        if self._owner.log is not None:
            self._scope = scope
        try:
            await app(scope, self.receive, self)
            if not self._complete and not self._disconnected:
                logger.error("The application returned without %s.", "its end" if self.started else "an answer")
                self._fail()
        except BaseException as error:  # As in `contain`: a mounted application ends no process either.
            logger.error("Exception in ASGI application", exc_info=error)
            self._fail()
        finally:
            self._scope = None
            assert self._task is not None
            self._owner.state.tasks.discard(self._task)
            # It refers to us as we to it.
            self._task = None

    def feed(self, data: bytes) -> int:
        """Take a piece of the request's body, and return how many bytes are waiting."""
        if self._complete:
            self._dropped += len(data)
            if self._dropped > MAX_DROPPED:
                self._owner.stop_reading()
            return 0
        if not self._body:
            self._body = data
        elif isinstance(self._body, bytearray):
            self._body += data
        else:
            # Not for a body in one piece: to put tiny ones together anew each time would take their square.
            self._body = bytearray(self._body)
            self._body += data
        self._wake()
        return len(self._body)

    def end(self) -> None:
        """End the request's body, and wake `receive`."""
        self._more_body = False
        self._wake()

    def resume(self) -> None:
        """Let the listener write: the client takes bytes again."""
        if self._listener is not None:
            self._listener.writable()

    def disconnect(self) -> None:
        """Wake `receive` and stop the listener: the client left."""
        self._disconnected = True
        self._wake()
        if self._listener is not None:
            self._listener.abort()

    async def receive(self) -> dict[str, Any]:
        """Return the next message of the request; the ASGI `receive`."""
        if self._expects_continue and not self.started and not self._disconnected:
            self._expects_continue = False
            self._owner.transport.write(_CONTINUE)
        if not self._news and not self._disconnected and not self._complete:
            self._owner.resume_reading()
            self._waiter = self._owner.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._news = False
        if self._disconnected or self._complete:
            return {"type": "http.disconnect"}
        body, self._body = self._body, b""
        return {"type": "http.request", "body": bytes(body), "more_body": self._more_body}

    async def __call__(self, message: Any, /) -> None:
        """Send a message of the answer; the ASGI `send`.

        Raises:
            RuntimeError: The message does not fit what was sent, or a header field cannot be sent.
        """
        if self._owner.write_paused:
            await self._owner.drain()
        if self._disconnected:
            return
        kind = message["type"]
        if self._complete or kind != ("http.response.body" if self.started else "http.response.start"):
            state = "complete" if self._complete else "begun" if self.started else "not begun"
            raise RuntimeError(f"The ASGI message `{kind}` does not fit: the answer is {state}.")
        if self.started:
            self._send_body(message.get("body", b""), message.get("more_body", False))
        else:
            self._send_head(message["status"], message.get("headers", ()))

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole answer; see `DirectSend`."""
        if self._disconnected:
            return
        lines = self._open_head(status)
        safe = True
        for field in headers:
            line = _find_line(field) or write_safe_line(field)
            if line is None:
                if field[0] in _FRAMING:
                    self._send_head(status, headers)
                    self._send_body(body, False)
                    return
                line = b"%b: %b\r\n" % field
                safe = False
            lines.append(line)
        if self._expects_continue or not self.keep_alive:
            self._announce_close(lines)
        if not safe:
            check_lines(lines)
        lines += (b"\r\n", body)
        self._begin(status)
        self._owner.transport.write(b"".join(lines))
        self._finish()

    def watch(self, listener: StreamListener) -> None:
        """Tell a listener of the connection; see `DirectSend`."""
        self._listener = listener
        if self._disconnected:
            listener.abort()

    def open_stream(self, listener: StreamListener) -> bool:
        """Let the body that has begun be written by `write_chunk`; see `DirectSend`."""
        if not self._chunked or self._complete or self._disconnected:
            return False
        self._listener = listener
        return True

    def write_chunk(self, chunk: bytes) -> None:
        """Write a framed chunk; see `DirectSend`."""
        if not self._disconnected and not self._complete:
            self._owner.transport.write(chunk)

    def skip_access_log(self) -> None:
        """Leave the answer out of the access log; see `DirectSend`."""
        self._scope = None

    def abort(self) -> None:
        """Drop the connection; see `DirectSend`."""
        self._owner.transport.abort()

    def _wake(self) -> None:
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _send_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        lines = self._open_head(status)
        fields, left, says_close = encode_checked(headers)
        lines.append(fields)
        if says_close:
            self.keep_alive = False
        if self._method == "HEAD" or status < 200 or status in (204, 304):
            left = 0
        elif left is None and self._chunks:
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        elif left is None:
            # Only the connection's end can end it.
            self.keep_alive = False
        if not says_close:
            self._announce_close(lines)
        lines.append(b"\r\n")
        self._left = left
        self._begin(status)
        self._owner.transport.write(b"".join(lines))

    def _send_body(self, body: bytes, more: bool) -> None:
        write = self._owner.transport.write
        if self._chunked:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            write(framed if more else framed + _LAST_CHUNK)
        elif self._method != "HEAD":
            if self._left is not None:
                self._left -= len(body)
                if self._left < 0:
                    raise RuntimeError("The answer's content is longer than its `content-length`.")
                if self._left > 0 and not more:
                    raise RuntimeError("The answer's content is shorter than its `content-length`.")
            write(body)
        if not more:
            # An answer that began before a stop could not say that its connection ends with it.
            self.keep_alive = self.keep_alive and not encode_default(self._owner.state.default_headers)[1]
            self._finish()

    def _open_head(self, status: int) -> list[bytes]:
        default, closes = encode_default(self._owner.state.default_headers)
        if closes:
            self.keep_alive = False
        return [STATUS_LINES[status], default]

    def _announce_close(self, lines: list[bytes]) -> None:
        """Tell the client that the connection ends with this answer, if it does."""
        if self._expects_continue and self._more_body:
            # The client may still send the body that it was never asked for, or it may not.
            self.keep_alive = False
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")

    def _begin(self, status: int) -> None:
        self.started = True
        if self._scope is not None:
            assert self._owner.log is not None
            self._owner.log(self._scope, status)
            self._scope = None

    def _finish(self) -> None:
        self._complete = True
        self._body = b""
        self._listener = None
        self._wake()
        self._owner.finish(self)

    def _fail(self) -> None:
        """Answer with 500 for an app that did not answer, or break off the answer that it began."""
        if self._complete or self._disconnected:
            return
        if self.started:
            self._owner.transport.close()
        else:
            self._send_head(500, FAILED_FIELDS)
            self._send_body(FAILED, False)
