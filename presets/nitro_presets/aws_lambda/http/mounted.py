"""Events for ASGI applications: mounted ones, public files, and all events that are not in payload format 2.0."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

from mangum import Mangum

from nitro_presets.aws_lambda.http.payload import write_refusal
from nitro_presets.aws_lambda.http.scope import complete_scope, read_viewer_scope
from nitro_presets.aws_lambda.http.stream import stream_answer
from nitro_presets.aws_lambda.lambda_runtime.context import LambdaContext
from nitro_presets.aws_lambda.lambda_runtime.response_stream import StreamedAnswer
from nitro_presets.aws_lambda.lambda_runtime.runner import enter_loop
from nitro_py.errors import HTTPError
from nitro_py.event import ASGIMessage, Receive, Scope, Send
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.application import Application

logger = logging.getLogger("nitro_py.aws")

RunLimited = Callable[[ASGIApplication, Scope, Receive, Send, LambdaContext], Awaitable[None]]


class Applications:
    """The ASGI applications of the app, which answer events.

    Args:
        app: The app.
        secret: The value of `NITRO_ORIGIN_SECRET`.
        run_limited: Runs an application, and ends its answer if it streams for longer than `aws.stream_seconds`.
    """

    def __init__(self, app: App, secret: str | None, run_limited: RunLimited) -> None:
        self._secret = secret
        self._run_limited = run_limited
        # A whole answer may be a stream that the route declares; a stream that it does not declare is an error.
        self._whole = Application(app, buffered=True)
        self._streamed = Application(app)

    def stream(self, event: dict[str, Any], context: LambdaContext) -> StreamedAnswer:
        """Answer an event in payload format 2.0 by a stream."""
        return stream_answer(self._serve_streamed, event, context)

    @cached_property
    def _mangum(self) -> Mangum:
        return Mangum(self._serve_whole, lifespan="off")

    def answer(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answer an event as a whole, through Mangum."""
        # Mangum runs the application on the thread's current event loop, and would make one if there were none.
        enter_loop()
        try:
            return self._mangum(event, context)  # type: ignore[arg-type]
        except ValueError as error:
            logger.warning("Refused an event that is no valid request: %s", error)
            return {"statusCode": 400, "headers": {}, "body": "", "isBase64Encoded": False}

    async def _serve_whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_decodable(message: ASGIMessage) -> None:
            if message["type"] == "http.response.start":
                # Mangum reads header fields as UTF-8, and ASGI writes them as Latin-1.
                fields = message.get("headers", ())
                recoded = [(name, value.decode("latin-1").encode()) for name, value in fields]
                message = {**message, "headers": recoded}
            await send(message)

        await self._serve(self._whole, complete_scope(scope), receive, send_decodable)

    async def _serve_streamed(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(self._streamed, scope, receive, send)

    async def _serve(self, application: Application, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            clean = read_viewer_scope(scope, self._secret)
        except HTTPError as error:
            answer = write_refusal(error)
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})
            return
        await self._run_limited(application, clean, receive, send, scope["aws.context"])
