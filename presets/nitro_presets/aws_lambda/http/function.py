"""The HTTP function's handler."""

from __future__ import annotations

import logging
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nitro_presets.aws_lambda.http.direct import PAYLOAD_VERSION, DirectRequest, DirectRoutes, ResponseCollector
from nitro_presets.aws_lambda.http.payload import write_answer, write_refusal
from nitro_presets.aws_lambda.http.scope import make_scope, read_viewer_scope
from nitro_presets.aws_lambda.lambda_runtime.context import InvocationContext, LambdaContext, seconds_left
from nitro_presets.aws_lambda.lambda_runtime.runner import run
from nitro_presets.aws_lambda.stack_variables import ORIGIN_SECRET
from nitro_py.errors import HTTPError
from nitro_py.event import Receive, Scope, Send
from nitro_py.runtime.app import App
from nitro_py.runtime.http.responses import CompleteResponse
from nitro_py.runtime.tasks import has_running_tasks, wait_for_tasks

if TYPE_CHECKING:
    from nitro_presets.aws_lambda.http.mounted import Applications
    from nitro_presets.aws_lambda.lambda_runtime.response_stream import ResponseStream, StreamedAnswer
    from nitro_py.mount import ASGIApplication

logger = logging.getLogger("nitro_py.aws")


class HttpFunction:
    """The handler of HTTP events: those of HTTP APIs, Function URLs, REST APIs and Application Load Balancers.

    The app is started once for an execution environment, by `start` or by the first event, on one event loop.
    Under our own runtime client answers stream if `aws.streaming` says so, and tasks that go on after an answer
    don't delay it. Under awslambdaric answers are whole, and come once those tasks are done.

    Args:
        app: The app.

    Example:
        handler = HttpFunction(App(folder, read_manifest(folder), kinds=("http", "sse")))
    """

    def __init__(self, app: App) -> None:
        self.app = app
        settings = app.manifest.settings["aws"]
        self._streaming = settings["streaming"] == "function-url"
        self._stream_seconds = float(settings["stream_seconds"])
        self._routes = DirectRoutes(app)
        self._secret: str | None = None
        self._started = False

    async def start(self) -> None:
        """Load the routes and start the plugins."""
        # Lambda sets a function's environment variables once, before the process starts.
        self._secret = os.environ.get(ORIGIN_SECRET)
        await self.app.start()
        self._started = True

    async def stop(self) -> None:
        """Stop the plugins."""
        self._started = False
        await self.app.stop()

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> Any:
        """Answer one event.

        Args:
            event: The event.
            context: The invocation's context.

        Returns:
            The response that the event's source expects, or a `StreamedAnswer`.
        """
        if not is_request(event):
            # Benchmark row `lambda-cold-http`: most functions never see one.
            from nitro_presets.aws_lambda.foreign_event import ignore_event

            return ignore_event(event, "a request of a Function URL, an API or a load balancer")
        if not self._started:
            run(self.start())
        ours = context if isinstance(context, InvocationContext) else None
        if ours is not None:
            ours.defer(lambda: wait_for_tasks(seconds_left(context)))
        try:
            if event.get("version") == PAYLOAD_VERSION:
                found = self._find(event, context)
                if ours is not None and self._streaming:
                    return self._stream(found, event, context)
                if isinstance(found, CompleteResponse):
                    return write_answer(found)
                if found is not None:
                    return write_answer(run(self._complete(found, context)))
            return self._applications.answer(event, context)
        finally:
            if ours is None and has_running_tasks():
                run(wait_for_tasks(seconds_left(context)))

    def _find(self, event: dict[str, Any], context: LambdaContext) -> DirectRequest | CompleteResponse | None:
        """Find what answers: one of the app's handlers, `None` for an ASGI application, or a refusal."""
        try:
            scope = read_viewer_scope(make_scope(event, context), self._secret)
            found = self._routes.find(scope)
        except HTTPError as error:
            return write_refusal(error)
        except (AttributeError, ValueError) as error:
            logger.warning("Refused an event that is no valid request: %s", error)
            return CompleteResponse(400, [], b"")
        check = self.app.host_check
        # An application checks hosts itself.
        if found is None or check is None or (refusal := check.check(scope["headers"])) is None:
            return found
        return write_refusal(refusal)

    async def _complete(self, found: DirectRequest, context: LambdaContext) -> CompleteResponse:
        """Return the whole answer; one that streams is collected to its end."""
        answer = await found.answer()
        if isinstance(answer, CompleteResponse):
            return answer
        collector = ResponseCollector()
        application = found.sender(answer, buffered=True)
        try:
            await self._run_limited(application, found.scope, found.receive, collector.send, context)
        except Exception as error:
            return found.fail(error)
        return collector.whole()

    def _stream(
        self, found: DirectRequest | CompleteResponse | None, event: dict[str, Any], context: LambdaContext
    ) -> StreamedAnswer:
        from nitro_presets.aws_lambda.http.stream import StreamSender, stream_whole
        from nitro_presets.aws_lambda.lambda_runtime.response_stream import StreamedAnswer

        if found is None:
            return self._applications.stream(event, context)

        async def produce(stream: ResponseStream) -> None:
            if isinstance(found, CompleteResponse):
                await stream_whole(found, stream)
                return
            answer = await found.answer()
            if isinstance(answer, CompleteResponse):
                await stream_whole(answer, stream)
                return
            application, send = found.sender(answer, buffered=False), StreamSender(stream).send
            await self._run_limited(application, found.scope, found.receive, send, context)

        return StreamedAnswer(produce)

    @cached_property
    def _applications(self) -> Applications:
        # Benchmark row `lambda-cold-http`: loaded for the first request that the app's own handlers don't answer.
        from nitro_presets.aws_lambda.http.mounted import Applications

        return Applications(self.app, self._secret, self._run_limited)

    async def _run_limited(
        self, application: ASGIApplication, scope: Scope, receive: Receive, send: Send, context: LambdaContext
    ) -> None:
        # Benchmark row `lambda-cold-http`: loaded for the first answer in pieces, which needs asyncio.
        from nitro_presets.aws_lambda.http.stream import CLEANUP, run_limited

        def stream_seconds() -> float:
            return max(0.0, min(self._stream_seconds, seconds_left(context) - 2 * CLEANUP))

        await run_limited(application, scope, receive, send, stream_seconds)


def is_request(event: object) -> bool:
    """Return whether an event is an HTTP request, of any of its sources."""
    if not isinstance(event, dict):
        return False
    context = event.get("requestContext")
    # The event of an authorizer has the type `REQUEST`, and is like the request that it decides on.
    if not isinstance(context, dict) or "type" in event:
        return False
    if event.get("version") == PAYLOAD_VERSION:
        return isinstance(context.get("http"), dict) and isinstance(event.get("rawPath"), str)
    return "httpMethod" in event and isinstance(event.get("path"), str)
