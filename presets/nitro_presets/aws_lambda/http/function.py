"""The HTTP function's handler."""

from __future__ import annotations

import logging
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nitro_presets.aws_lambda.edge import SECRET_VARIABLE, hide_edge, pass_edge
from nitro_presets.aws_lambda.http.limit import CLEANUP, run_limited
from nitro_presets.aws_lambda.http.scope import complete_scope
from nitro_presets.aws_lambda.http.stream import stream_answer
from nitro_presets.aws_lambda.runtime.context import Context, LambdaContext
from nitro_presets.aws_lambda.runtime.loop import enter_loop, run
from nitro_py.errors import HTTPError
from nitro_py.event import ASGIMessage, Receive, Scope, Send
from nitro_py.headers import Headers
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.responses import describe_error, encode_body
from nitro_py.runtime.tasks import wait_for_tasks

if TYPE_CHECKING:
    from mangum import Mangum

logger = logging.getLogger("nitro_py.aws")

STREAM_SECONDS = 60.0
# What is kept of an invocation's time for its own end, in seconds.
MARGIN = 0.5


class HttpFunction:
    """Answers HTTP events: of HTTP APIs, Function URLs, REST APIs and load balancers.

    The app is started once for the environment, by `start` or by the first event, and lives on one event loop.
    Under our own runtime client answers stream where the config says so, and work that goes on after an answer
    keeps nobody waiting; under awslambdaric answers are whole, and come once that work is done.

    Args:
        app: The app; its hub is whoever's makes it.

    Example:
        handler = HttpFunction(App(folder, read_manifest(folder), kinds=("http", "sse")))
    """

    def __init__(self, app: App) -> None:
        self.app = app
        settings = app.manifest.settings.get("aws", {})
        self._streaming = settings.get("streaming") == "function-url"
        self._stream_seconds = float(settings.get("stream_seconds", STREAM_SECONDS))
        # A whole answer may hold a declared stream, as long as it ends in time; one unsaid is an error there.
        self._whole = Application(app, buffered=True)
        self._streamed = Application(app)

    async def start(self) -> None:
        """Loads the routes and starts the plugins."""
        await self.app.start()

    async def stop(self) -> None:
        """Stops the plugins."""
        await self.app.stop()

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> Any:
        """Answers one event.

        Args:
            event: The gateway's event.
            context: The invocation's context.

        Returns:
            What the gateway expects, or a `StreamedAnswer`.
        """
        run(self.start())
        ours = context if isinstance(context, Context) else None
        if ours is not None:
            ours.defer(lambda: wait_for_tasks(_seconds_left(context)))
            if self._streaming and event.get("version") == "2.0":
                return stream_answer(self._serve_streamed, event, context)
        try:
            return self._answer_whole(event, context)
        finally:
            if ours is None:
                run(wait_for_tasks(_seconds_left(context)))

    @cached_property
    def _mangum(self) -> Mangum:
        from mangum import Mangum

        return Mangum(self._serve_whole, lifespan="off")

    def _answer_whole(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        # Mangum runs the application on the thread's current loop, and would make another if there were none.
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
            headers = pass_edge(Headers.from_raw(scope["headers"]), os.environ.get(SECRET_VARIABLE))
        except HTTPError as error:
            await _refuse(error, send)
            return
        context = scope["aws.context"]
        clean = {**scope, "headers": headers.to_raw(), "aws.event": hide_edge(scope["aws.event"])}

        def stream_seconds() -> float:
            return max(0.0, min(self._stream_seconds, _seconds_left(context) - 2 * CLEANUP))

        await run_limited(application, clean, receive, send, stream_seconds)


def _seconds_left(context: LambdaContext) -> float:
    return max(0.0, context.get_remaining_time_in_millis() / 1000 - MARGIN)


async def _refuse(error: HTTPError, send: Send) -> None:
    answer = describe_error(error, development=False)
    body, kind = encode_body(answer.body)
    headers = [(b"content-type", (kind or "").encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
