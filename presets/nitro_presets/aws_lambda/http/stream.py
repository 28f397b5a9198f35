"""From what an ASGI application sends to a streamed answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from nitro_presets.aws_lambda.http.scope import make_scope, read_body
from nitro_presets.aws_lambda.lambda_runtime.response_stream import Prelude, ResponseStream, StreamedAnswer
from nitro_py.event import ASGIMessage, Receive, Scope, Send
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.http.responses import CompleteResponse

logger = logging.getLogger("nitro_py.aws")

# How long a stream's cleanup may take before it is cancelled, in seconds.
CLEANUP = 2.0


async def run_limited(
    application: ASGIApplication, scope: Scope, receive: Receive, send: Send, seconds: Callable[[], float]
) -> None:
    """Run an ASGI application, and end its answer if it still streams after a time.

    The application is told what it would be told if the client left: cleanup runs, and the answer ends as if it
    were complete. An answer that announces its length is none of those, and takes as long as it takes.

    Args:
        application: An ASGI 3 application.
        scope: The ASGI scope, of type `http`.
        receive: The ASGI receive callable.
        send: The ASGI send callable.
        seconds: Gives how long an answer may stream, when it starts.
    """
    exchange = _Exchange(receive, send, seconds)
    running = asyncio.ensure_future(application(scope, exchange.receive, exchange.send))
    ending = asyncio.ensure_future(exchange.over.wait())
    try:
        await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not exchange.over.is_set():
            running.result()
            return
        await _clean_up(running, scope)
        if not exchange.complete:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        exchange.close()
        ending.cancel()
        running.cancel()


class _Exchange:
    """Stands between an application and its server, and lets the client seem to leave once the time is over."""

    def __init__(self, receive: Receive, send: Send, seconds: Callable[[], float]) -> None:
        self.over = asyncio.Event()
        self.complete = False
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
            if not any(name.lower() == b"content-length" for name, _ in message.get("headers", ())):
                self._timer = asyncio.get_running_loop().call_later(self._seconds(), self.over.set)
        elif not message.get("more_body", False):
            self.complete = True
            self.close()
        elif self.over.is_set():
            raise OSError("The stream's time is over.")
        await self._send(message)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


async def _clean_up(running: asyncio.Future[Any], scope: Scope) -> None:
    done, _ = await asyncio.wait({running}, timeout=CLEANUP)
    if not done:
        logger.warning(
            "%s %s did not end when its client left, and was cancelled.", scope["method"], scope["path"]
        )
        running.cancel()
        await asyncio.wait({running}, timeout=CLEANUP)
    if running.done() and not running.cancelled() and running.exception() is not None:
        logger.debug("A stream ended by an error once its time was over.", exc_info=running.exception())


# How a message travels is the connection's own affair, and Lambda's front end speaks to the client.
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


class StreamSender:
    """Sends an ASGI application's messages into a stream.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: ResponseStream) -> None:
        self._stream = stream
        self.complete = asyncio.Event()

    async def send(self, message: ASGIMessage) -> None:
        """Is the ASGI send callable."""
        if message["type"] == "http.response.start":
            await self._stream.start(make_prelude(message["status"], message.get("headers", ())))
            return
        await self._stream.write(message.get("body", b""))
        if not message.get("more_body", False):
            # Ended here, so that what the application does afterwards keeps nobody waiting.
            await self._stream.end()
            # Not before: an application that hears of the end may cancel this very call, and the next invocation
            # would be asked for while this one's answer is still on its way.
            self.complete.set()


def stream_answer(application: ASGIApplication, event: dict[str, Any], context: object) -> StreamedAnswer:
    """Let an ASGI application answer a request in payload format 2.0, piece by piece.

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
    """Send a whole answer into a stream."""
    await stream.start(make_prelude(answer.status, answer.headers))
    await stream.write(answer.body)
    await stream.end()


def make_prelude(status: int, headers: Iterable[tuple[bytes, bytes]]) -> Prelude:
    """Make a streamed answer's prelude from an ASGI start message."""
    fields: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
        elif name not in HOP_BY_HOP:
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Prelude(status, fields, tuple(cookies))
