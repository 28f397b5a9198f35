"""From what an ASGI application sends to a streamed answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from nitro_presets.aws_lambda.http.scope import make_scope, read_body
from nitro_presets.aws_lambda.runtime.stream import Prelude, ResponseStream, StreamedAnswer
from nitro_py.event import ASGIMessage
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.responses import Whole

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
    """Lets an ASGI application answer a request in payload format 2.0, piece by piece.

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


async def stream_whole(answer: Whole, stream: ResponseStream) -> None:
    """Sends a whole answer into a stream."""
    await stream.start(make_prelude(answer.status, answer.headers))
    await stream.write(answer.body)
    await stream.end()


def make_prelude(status: int, headers: Iterable[tuple[bytes, bytes]]) -> Prelude:
    """Makes a streamed answer's prelude from an ASGI start message."""
    fields: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
        elif name not in HOP_BY_HOP:
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Prelude(status, fields, tuple(cookies))
