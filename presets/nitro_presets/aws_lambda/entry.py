"""The handlers that Lambda calls, one for each function, made once for an execution environment."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nitro_presets.aws_lambda import stack_variables
from nitro_presets.aws_lambda.lambda_runtime.context import InvocationContext, LambdaContext, seconds_left
from nitro_presets.aws_lambda.lambda_runtime.logs import set_levels
from nitro_presets.aws_lambda.lambda_runtime.runner import run
from nitro_presets.aws_lambda.lazy_object import make_lazily
from nitro_py.runtime.app import App
from nitro_py.runtime.manifest import Manifest, read_manifest
from nitro_py.runtime.tasks import wait_for_tasks

if TYPE_CHECKING:
    from nitro_presets.aws_lambda.fanout.job_store import JobStore
    from nitro_presets.aws_lambda.store.contract import TableClient
    from nitro_presets.aws_lambda.websocket.services import Invoker
    from nitro_py.capabilities import Kind
    from nitro_py.peer import Peer
    from nitro_py.runtime.contracts import Hub

# How often a post is tried while API Gateway answers 429: for about five seconds.
POST_ATTEMPTS = 10
WEBSOCKET_KINDS: tuple[Kind, ...] = ("websocket",)


class FunctionEntry:
    """A function's handler, which reads no environment variable before its start or the first event.

    Args:
        folder: The folder of the function package.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def start(self) -> None:
        """Load the routes, start the plugins and make the clients, TLS included, in Lambda's init phase."""
        try:
            await self.function.start()
        finally:
            end_start()

    async def stop(self) -> None:
        """Stop the plugins."""
        await self.function.stop()

    @cached_property
    def function(self) -> Any:
        """The function."""
        raise NotImplementedError


class WebSocketEntry(FunctionEntry):
    """The WebSocket function's handler."""

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> Any:
        """Handle one event."""
        return run(self._handle(event, context))

    async def _handle(self, event: dict[str, Any], context: LambdaContext) -> Any:
        try:
            return await self.function.handle(event, lambda: seconds_left(context))
        finally:
            await finish_tasks(context)
            end_start()

    @cached_property
    def function(self) -> Any:
        """The function."""
        return make_websocket_function(self.folder)


def add_secrets(entry: FunctionEntry) -> Any:
    """Return what handles a function's events: the entry itself, unless the app has secrets."""
    if stack_variables.SECRETS not in os.environ:
        return entry
    from nitro_presets.aws_lambda.app_secrets import EntryWithSecrets

    return EntryWithSecrets(entry)


def end_start() -> None:
    """Turn garbage collection on, without the objects of the start, which stay as long as the process."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


async def finish_tasks(context: LambdaContext) -> None:
    """Wait for tasks that go on after an answer; our own runtime client sends the answer first."""
    if isinstance(context, InvocationContext):
        context.defer(lambda: wait_for_tasks(seconds_left(context)))
    else:
        await wait_for_tasks(seconds_left(context))


def make_websocket_function(folder: Path) -> Any:
    """Make the WebSocket function of a package, from its manifest and the environment variables."""
    from nitro_presets.aws_lambda.websocket.function import WebSocketFunction
    from nitro_presets.aws_lambda.websocket.peer import AwsHub

    manifest = read_manifest(folder)
    services = make_services(manifest)
    hub = AwsHub(services)
    app = App(folder, manifest, kinds=WEBSOCKET_KINDS, hub=hub, threads=False)
    set_levels(app.settings.log)
    app.locate_socket = find_socket_locator(manifest)
    return WebSocketFunction(app, hub, services)


def make_services(manifest: Manifest) -> Any:
    """Make the clients of the services that the functions call."""
    from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
    from nitro_presets.aws_lambda.aws_client.management import ManagementClient
    from nitro_presets.aws_lambda.aws_client.service import Retry
    from nitro_presets.aws_lambda.store.dynamodb import DynamoStore
    from nitro_presets.aws_lambda.websocket.services import AwsServices, FunctionSettings, count_connections

    settings = FunctionSettings.from_json(manifest.settings["aws"])
    client = DynamoClient(os.environ[stack_variables.TABLE])
    services = AwsServices(
        store=DynamoStore(client, shards=settings.shards),
        jobs=make_lazily(lambda: make_jobs(client)),
        poster=ManagementClient(
            os.environ[stack_variables.CALLBACK_URL],
            connections=count_connections(),
            retry=Retry(attempts=POST_ATTEMPTS),
        ),
        invoker=make_lazily(make_invoker),
        function=os.environ.get(stack_variables.WEBSOCKET_FUNCTION) or os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        settings=settings,
    )
    if settings.ordered:
        from nitro_presets.aws_lambda.aws_client.sqs import SqsClient

        services.queue = SqsClient()
        services.queue_url = os.environ[stack_variables.QUEUE_URL]
    return services


def make_jobs(client: TableClient) -> JobStore:
    """Make the store of publications and their jobs."""
    from nitro_presets.aws_lambda.fanout.job_store import DynamoJobStore

    return DynamoJobStore(client)


def make_invoker() -> Invoker:
    """Make the client of Lambda's Invoke API."""
    from nitro_presets.aws_lambda.aws_client.invoke import LambdaClient

    return LambdaClient()


def make_http_function(folder: Path) -> Any:
    """Make the HTTP function of a package; its hub reaches the peers of the WebSocket API, if there is one."""
    from nitro_presets.aws_lambda.http.function import HttpFunction

    manifest = read_manifest(folder)
    hub = make_lazily(lambda: make_hub(manifest)) if os.environ.get(stack_variables.CALLBACK_URL) else None
    app = App(folder, manifest, kinds=("http", "sse"), hub=hub)
    set_levels(app.settings.log)
    app.locate_socket = find_socket_locator(manifest)
    return HttpFunction(app)


def find_socket_locator(manifest: Manifest) -> Callable[[str], str] | None:
    """Return what makes a URL of a socket's path; `None` behind CloudFront, where paths are enough."""
    api = os.environ.get(stack_variables.SOCKET_URL) or os.environ.get(stack_variables.CALLBACK_URL)
    if not api or manifest.settings["aws"]["cloudfront"]:
        return None

    def locate(path: str) -> str:
        from nitro_presets.aws_lambda.websocket.events import write_socket_url

        return write_socket_url(api, path)

    return locate


def make_hub(manifest: Manifest) -> Hub[Peer]:
    """Make the hub that reaches the peers of the WebSocket API."""
    from nitro_presets.aws_lambda.websocket.peer import AwsHub

    return AwsHub(make_services(manifest))


class HttpEntry(FunctionEntry):
    """The HTTP function's handler."""

    def __call__(self, event: dict[str, Any], context: LambdaContext) -> Any:
        """Handle one event."""
        try:
            return self.function(event, context)
        finally:
            end_start()

    @cached_property
    def function(self) -> Any:
        """The function."""
        return make_http_function(self.folder)
