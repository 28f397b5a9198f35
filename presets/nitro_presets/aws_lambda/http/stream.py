"""Streamed answers: what an ASGI application sends, into Lambda's response stream, for a limited time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from nitro_presets.aws_lambda.http.scope import make_scope, read_body
from nitro_presets.aws_lambda.lambda_runtime.response_stream import Prelude, ResponseStream, StreamedAnswer
from nitro_py.errors import NitroError
from nitro_py.event import ASGIMessage, Receive, Scope, Send
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.containment import contained
from nitro_py.runtime.http.responses import CompleteResponse

logger = logging.getLogger("nitro_py.aws")

# How long an application may go on once its time is over, before it is cancelled, in seconds.
CLEANUP = 2.0
# Fields of one connection (RFC 9110, 7.6.1). Lambda makes its own for the client.
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


class StreamCutError(NitroError):
    """An answer that did not end in time."""


async def run_limited(
    application: ASGIApplication, scope: Scope, receive: Receive, send: Send, seconds: Callable[[], float]
) -> None:
    """Run an ASGI application, and end its answer if it still streams after a time.

    The application receives `http.disconnect`, so that its cleanup runs. An event stream then ends as if it were
    complete, and its client connects again; any other answer fails. An answer with a `Content-Length` is not
    limited.

    Args:
        application: An ASGI 3 application.
        scope: The ASGI scope, of type `http`.
        receive: The ASGI receive callable.
        send: The ASGI send callable.
        seconds: Returns how long the answer may stream, in seconds; called when it starts.

    Raises:
        StreamCutError: The answer was cut, and is no event stream.
    """
    limit = _TimeLimit(receive, send, seconds)
    running = asyncio.ensure_future(contained(application(scope, limit.receive, limit.send)))
    ending = asyncio.ensure_future(limit.over.wait())
    try:
        await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not limit.over.is_set():
            running.result()
            return
        await _clean_up(running, scope)
        if not limit.complete and not limit.reconnects:
            raise StreamCutError(f"The answer to {scope['method']} {scope['path']} was cut: its time was over.")
        if not limit.complete:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        limit.close()
        ending.cancel()
        running.cancel()


class _TimeLimit:
    """The receive and send callables of an application whose client seems to disconnect once a time is over."""

    def __init__(self, receive: Receive, send: Send, seconds: Callable[[], float]) -> None:
        self.over = asyncio.Event()
        self.complete = False
        self.reconnects = False
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    async def receive(self) -> ASGIMessage:
        receiving = asyncio.ensure_future(self._receive())
        ending = asyncio.ensure_future(self.over.wait())
        try:
            await asyncio.wait({receiving, ending}, return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() else {"type": "http.disconnect"}
        finally:
            receiving.cancel()
            ending.cancel()

    async def send(self, message: ASGIMessage) -> None:
        if message["type"] == "http.response.start":
            fields = {name.lower(): value for name, value in message.get("headers", ())}
            self.reconnects = fields.get(b"content-type", b"").startswith(b"text/event-stream")
            if b"content-length" not in fields:
                self._timer = asyncio.get_running_loop().call_later(self._seconds(), self.over.set)
        elif self.over.is_set() and (message.get("more_body", False) or not self.reconnects):
            # Its end too: most applications send one when they hear that the client left.
            raise OSError("The stream's time is over.")
        elif not message.get("more_body", False):
            self.complete = True
            self.close()
        await self._send(message)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


async def _clean_up(running: asyncio.Future[Any], scope: Scope) -> None:
    done, _ = await asyncio.wait({running}, timeout=CLEANUP)
    if not done:
        logger.warning(
            "%s %s did not end after `http.disconnect`, and was cancelled.", scope["method"], scope["path"]
        )
        running.cancel()
        await asyncio.wait({running}, timeout=CLEANUP)
    if running.done() and not running.cancelled() and running.exception() is not None:
        logger.debug("A stream raised an error once its time was over.", exc_info=running.exception())


class StreamSender:
    """A response stream that takes an ASGI application's messages.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: ResponseStream) -> None:
        self._stream = stream
        self.complete = asyncio.Event()

    async def send(self, message: ASGIMessage) -> None:
        """Send a message: the ASGI send callable."""
        if message["type"] == "http.response.start":
            await self._stream.start(make_prelude(message["status"], message.get("headers", ())))
            return
        await self._stream.write(message.get("body", b""))
        if not message.get("more_body", False):
            # Ended here, so that the client does not wait for what the application does afterwards.
            await self._stream.end()
            # Not before: an application that receives `http.disconnect` may cancel this very call, and the runtime
            # would ask for the next invocation before this response has ended.
            self.complete.set()


def stream_answer(application: ASGIApplication, event: dict[str, Any], context: object) -> StreamedAnswer:
    """Let an ASGI application answer a request in payload format 2.0 by a stream.

    Args:
        application: An ASGI 3 application.
        event: The event of a Function URL.
        context: The invocation's context.
    """

    async def produce(stream: ResponseStream) -> None:
        body = read_body(event)
        given = False
        sender = StreamSender(stream)

        async def receive() -> ASGIMessage:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
            await sender.complete.wait()
            return {"type": "http.disconnect"}

        await application(make_scope(event, context), receive, sender.send)

    return StreamedAnswer(produce)


async def stream_whole(answer: CompleteResponse, stream: ResponseStream) -> None:
    """Send a whole response into a stream."""
    await stream.start(make_prelude(answer.status, answer.headers))
    await stream.write(answer.body)
    await stream.end()


def make_prelude(status: int, headers: Iterable[tuple[bytes, bytes]]) -> Prelude:
    """Make the prelude of a streamed response from what `http.response.start` holds."""
    fields: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
        elif name not in HOP_BY_HOP:
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Prelude(status, fields, tuple(cookies))
