"""The HTTP function's handler."""

from __future__ import annotations

import logging
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nitro_presets.aws_lambda.edge import SECRET_VARIABLE
from nitro_presets.aws_lambda.http.direct import FORMAT, Collector, DirectRequest, DirectRoutes
from nitro_presets.aws_lambda.http.limit import CLEANUP, run_limited
from nitro_presets.aws_lambda.http.payload import write_answer, write_refusal
from nitro_presets.aws_lambda.http.scope import complete_scope, make_scope, pass_scope
from nitro_presets.aws_lambda.http.stream import StreamSender, stream_answer, stream_whole
from nitro_presets.aws_lambda.runtime.context import Context, LambdaContext
from nitro_presets.aws_lambda.runtime.loop import enter_loop, run
from nitro_presets.aws_lambda.runtime.stream import ResponseStream, StreamedAnswer
from nitro_py.errors import HTTPError
from nitro_py.event import ASGIMessage, Receive, Scope, Send
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.responses import Whole
from nitro_py.runtime.tasks import wait_for_tasks, work_is_left

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
        self._routes = DirectRoutes(app)
        # A whole answer may hold a declared stream, as long as it ends in time; one unsaid is an error there.
        self._whole = Application(app, buffered=True)
        self._streamed = Application(app)
        self._secret: str | None = None
        self._started = False

    async def start(self) -> None:
        """Loads the routes and starts the plugins."""
        # Lambda sets a function's variables once, for as long as its environment lives.
        self._secret = os.environ.get(SECRET_VARIABLE)
        await self.app.start()
        self._started = True

    async def stop(self) -> None:
        """Stops the plugins."""
        self._started = False
        await self.app.stop()

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> Any:
        """Answers one event.

        Args:
            event: The gateway's event.
            context: The invocation's context.

        Returns:
            What the gateway expects, or a `StreamedAnswer`.
        """
        if not self._started:
            run(self.start())
        ours = context if isinstance(context, Context) else None
        if ours is not None:
            ours.defer(lambda: wait_for_tasks(_seconds_left(context)))
        try:
            if event.get("version") == FORMAT:
                found = self._find(event, context)
                if ours is not None and self._streaming:
                    return self._stream(found, event, context)
                if isinstance(found, Whole):
                    return write_answer(found)
                if found is not None:
                    return write_answer(run(self._complete(found, context)))
            return self._answer_by_mangum(event, context)
        finally:
            if ours is None and work_is_left():
                run(wait_for_tasks(_seconds_left(context)))

    def _find(self, event: dict[str, Any], context: LambdaContext) -> DirectRequest | Whole | None:
        """Finds who answers: a handler of ours, an application (`None`), or nobody, as the event is refused."""
        try:
            return self._routes.find(pass_scope(make_scope(event, context), self._secret))
        except HTTPError as error:
            return write_refusal(error)
        except ValueError as error:
            logger.warning("Refused an event that is no valid request: %s", error)
            return Whole(400, [], b"")

    async def _complete(self, found: DirectRequest, context: LambdaContext) -> Whole:
        """Gives the whole answer, once a stream that it may be has ended."""
        answer = await found.answer()
        if isinstance(answer, Whole):
            return answer
        collector = Collector()
        application = found.sender(answer, buffered=True)
        try:
            await self._run_limited(application, found.scope, found.receive, collector.send, context)
        except Exception as error:
            return found.fail(error)
        return collector.whole()

    def _stream(
        self, found: DirectRequest | Whole | None, event: dict[str, Any], context: LambdaContext
    ) -> StreamedAnswer:
        if found is None:
            return stream_answer(self._serve_streamed, event, context)

        async def produce(stream: ResponseStream) -> None:
            if isinstance(found, Whole):
                await stream_whole(found, stream)
                return
            answer = await found.answer()
            if isinstance(answer, Whole):
                await stream_whole(answer, stream)
                return
            application, send = found.sender(answer, buffered=False), StreamSender(stream).send
            await self._run_limited(application, found.scope, found.receive, send, context)

        return StreamedAnswer(produce)

    @cached_property
    def _mangum(self) -> Mangum:
        from mangum import Mangum

        return Mangum(self._serve_whole, lifespan="off")

    def _answer_by_mangum(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
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
            clean = pass_scope(scope, self._secret)
        except HTTPError as error:
            answer = write_refusal(error)
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})
            return
        await self._run_limited(application, clean, receive, send, scope["aws.context"])

    async def _run_limited(
        self, application: ASGIApplication, scope: Scope, receive: Receive, send: Send, context: LambdaContext
    ) -> None:
        def stream_seconds() -> float:
            return max(0.0, min(self._stream_seconds, _seconds_left(context) - 2 * CLEANUP))

        await run_limited(application, scope, receive, send, stream_seconds)


def _seconds_left(context: LambdaContext) -> float:
    return max(0.0, context.get_remaining_time_in_millis() / 1000 - MARGIN)
