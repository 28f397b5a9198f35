"""The local gateway: the services that a bundle uses on AWS, on this machine."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from nitro_presets.aws_lambda.aws_client.credentials import Credentials
from nitro_presets.aws_lambda.deploy.template import TEMPLATE
from nitro_presets.aws_lambda.gateway.access_log import GatewayAccessLog
from nitro_presets.aws_lambda.gateway.bundle import Function, LocalBundle, read_bundle, set_package_times
from nitro_presets.aws_lambda.gateway.connections import GatewayConnections
from nitro_presets.aws_lambda.gateway.dynamodb_api import DynamoDbApi
from nitro_presets.aws_lambda.gateway.environment import (
    API,
    CALLBACKS,
    CREDENTIALS,
    FUNCTIONS,
    REGION,
    SECRET_ARNS,
    TABLES,
    ServiceUrls,
    describe_unresolved,
    list_names,
    make_arn,
    make_command,
    make_credentials,
    make_environment,
    make_queue_arn,
)
from nitro_presets.aws_lambda.gateway.fault_injection import Faults
from nitro_presets.aws_lambda.gateway.fifo_queue import FifoQueue, read_queue
from nitro_presets.aws_lambda.gateway.http_api import HttpApi
from nitro_presets.aws_lambda.gateway.http_server import Listener
from nitro_presets.aws_lambda.gateway.lambda_api import LambdaApi
from nitro_presets.aws_lambda.gateway.local_dynamodb import LocalDynamoDb, make_table
from nitro_presets.aws_lambda.gateway.management_api import ManagementApi
from nitro_presets.aws_lambda.gateway.own_tables import make_tables, read_tables
from nitro_presets.aws_lambda.gateway.permissions import read_roles
from nitro_presets.aws_lambda.gateway.pool import FunctionPool
from nitro_presets.aws_lambda.gateway.process import FunctionProcess
from nitro_presets.aws_lambda.gateway.publish_endpoint import PublishEndpoint
from nitro_presets.aws_lambda.gateway.quotas import AWS_QUOTAS, CONCURRENCY, Quotas
from nitro_presets.aws_lambda.gateway.router import GatewayRouter
from nitro_presets.aws_lambda.gateway.s3_origin import S3Origin
from nitro_presets.aws_lambda.gateway.secrets_api import SecretsApi
from nitro_presets.aws_lambda.gateway.signed_calls import CallGuard, SignatureVerifier
from nitro_presets.aws_lambda.gateway.websocket_api import WebSocketApi
from nitro_py.errors import NitroError, UsageError
from nitro_py.runtime.app import LOCAL_HOST
from nitro_py.runtime.hosts import HostCheck, make_host_check
from nitro_py.runtime.manifest import read_manifest
from nitro_py.runtime.settings import Settings
from nitro_py.server.ports import bind_port, format_url

logger = logging.getLogger("nitro_py.aws.gateway")

# The event of the stack's schedule.
SWEEP = b'{"nitro": {"kind": "sweep"}}'


class FixedCredentials:
    """A source of the gateway's own credentials."""

    async def get(self) -> Credentials:
        """Return the credentials."""
        return CREDENTIALS


class Gateway:
    """A context manager that runs a bundle.

    Args:
        output: The output folder of a build.
        listener: The socket to serve on; by default a free port of this machine.
        concurrency: The most processes of a function; further invocations wait.
        faults: The faults to inject; may be changed at any time.
        limits: The quotas.
        environment: More environment variables for the functions.
        publish_token: The token of `nitropy publish`; without one there is no publish endpoint.
        database: The URL of a running DynamoDB; by default moto's server is started.
        local_host: The address that it listens on, if it answers to names of this machine only, and to those
            of `server.allowed_hosts`.
        log_access: Whether requests and sockets are logged.

    Raises:
        UsageError: There is no bundle, or moto is not installed.

    Example:
        async with Gateway(Path(".output"), concurrency=2) as gateway:
            print(gateway.url)
    """

    def __init__(
        self,
        output: Path,
        *,
        listener: socket.socket | None = None,
        concurrency: int = CONCURRENCY,
        faults: Faults | None = None,
        limits: Quotas = AWS_QUOTAS,
        environment: Mapping[str, str] | None = None,
        publish_token: str | None = None,
        database: str | None = None,
        local_host: str | None = None,
        log_access: bool = False,
    ) -> None:
        self.faults = faults or Faults()
        self.connections = GatewayConnections()
        self.credentials = CREDENTIALS
        self.region = REGION
        self._bundle: LocalBundle = read_bundle(output)
        self._listener = listener or bind_port("127.0.0.1", 0)
        self._concurrency = concurrency
        self._limits = limits
        self._added = dict(environment or {})
        self._local_host = local_host
        if local_host is not None:
            # The functions answer to what the gateway lets through.
            self._added[LOCAL_HOST] = local_host
        self._log_access = log_access
        self._publish_token = publish_token
        self._database = database
        self._stack = AsyncExitStack()
        self._pools: dict[str, FunctionPool] = {}
        self._table = f"nitro-{secrets.token_hex(4)}"
        self._own_tables = read_tables(output / TEMPLATE)
        self._table_names = {table.id: table.name for table in self._own_tables}
        self._guard = self._make_guard(output)
        websocket = self._bundle.functions.get("websocket")
        ordered = websocket is not None and websocket.ordered
        self._queue_settings = read_queue(output / TEMPLATE, limits) if ordered else None
        self._lambda_api = LambdaApi(FUNCTIONS, self._pools, self._guard, limits)
        self._queue: FifoQueue | None = None
        self._websocket_api: WebSocketApi | None = None
        self._services = ServiceUrls("", "", "")

    @property
    def url(self) -> str:
        """The gateway's URL: the app at its own paths, AWS's APIs below `/_aws`."""
        return format_url(self._listener)

    @property
    def socket_url(self) -> str | None:
        """The URL that sockets connect to, with their path as a parameter; `None` behind CloudFront."""
        if "websocket" not in self._bundle.functions or self._bundle.cloudfront:
            return None
        return self.callback_url.replace("http", "ws", 1)

    @property
    def callback_url(self) -> str:
        """The URL of the `@connections` API."""
        return self._services.callback_url

    @property
    def queue_url(self) -> str:
        """The URL of the queue, where messages are ordered."""
        return self._services.queue_url

    @property
    def table(self) -> str:
        """The name of the table."""
        return self._services.table

    @property
    def database_url(self) -> str:
        """The URL of DynamoDB."""
        return self._services.database_url

    @property
    def dead_letters(self) -> tuple[str, ...]:
        """The payloads of asynchronous invocations, and the messages of the queue, that failed."""
        queued = self._queue.dead_letters if self._queue is not None else []
        return (*(payload.decode() for payload in self._lambda_api.dead_letters), *queued)

    def pids(self, function: str) -> tuple[int, ...]:
        """List the ids of a function's running processes."""
        return self._pools[function].pids

    def describe_work(self) -> list[str]:
        """Return lines that tell what ran: invocations and cold starts, and the calls that functions made."""
        lines = [
            f"{name}: {count('invocation', pool.invocations)}, {count('cold start', pool.cold_starts)}"
            + (f", {count('throttle', pool.throttles)}" if pool.throttles else "")
            for name, pool in sorted(self._pools.items())
        ]
        for service, operations in sorted(self._guard.calls.items()):
            each = ", ".join(f"{name} {number}" for name, number in sorted(operations.items()))
            lines.append(f"{service}: {count('call', operations.total())} ({each})")
        return lines

    def throttles(self, function: str) -> int:
        """Return how many invocations of a function were throttled."""
        return self._pools[function].throttles

    async def kill(self, function: str) -> None:
        """Kill all processes of a function at once."""
        await self._pools[function].kill()

    async def invoke(self, function: str, payload: bytes) -> None:
        """Invoke a function asynchronously, and wait until it has ended; an error makes a dead letter."""
        await self._lambda_api.call(function, payload, None)

    async def sweep(self) -> None:
        """Invoke the function as the stack's schedule does every five minutes, and wait until it has ended."""
        if "websocket" in self._pools:
            await self.invoke("websocket", SWEEP)

    async def idle(self) -> None:
        """Wait until no event is under way: no invocation runs or waits, and no queue holds a message."""
        parts = [part for part in (self._websocket_api, self._queue, self._lambda_api) if part is not None]
        while True:
            for part in (*parts, *self._pools.values()):
                await part.idle()
            if not any(part.busy for part in (*parts, *self._pools.values())):
                return

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            self._listener.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        functions = self._bundle.functions
        for problem in describe_unresolved(self._bundle, self._table_names, self._added):
            logger.warning("[environment] %s", problem)
        await asyncio.to_thread(set_package_times, self._bundle.server)
        self._services = ServiceUrls(self.url, self._table, secrets.token_urlsafe(24), self._table_names)
        dynamodb = await self._start_dynamodb() if self._bundle.has_table or self._own_tables else None
        for name, function in functions.items():
            self._pools[name] = self._make_pool(function)
            self._stack.push_async_callback(self._pools[name].close)
        self._stack.push_async_callback(self._lambda_api.close)
        http = (
            HttpApi(self._pools["http"], _http_domain(functions["http"]), self._limits)
            if "http" in functions
            else None
        )
        router = GatewayRouter(
            api=API,
            secret=self._services.secret if self._bundle.cloudfront else None,
            management=ManagementApi(CALLBACKS, self.connections, self._guard, self.faults, self._limits),
            lambda_api=self._lambda_api,
            dynamodb=dynamodb,
            websocket_api=self._make_websocket_api() if "websocket" in functions else None,
            http=http,
            queue=self._queue,
            secrets=self._make_secrets_api() if self._bundle.secrets else None,
            publish_endpoint=self._make_publish_endpoint(),
            public=S3Origin(self._bundle.uploads, self._bundle.public) if self._bundle.public else None,
            host_check=self._make_host_check(),
        )
        serving = Listener(GatewayAccessLog(router.handle).handle if self._log_access else router.handle)
        self._stack.push_async_callback(serving.close)
        await serving.open(self._listener)

    def _make_guard(self, output: Path) -> CallGuard:
        functions = self._bundle.functions
        roles = read_roles(output / TEMPLATE, list_names(self._bundle, self._table, self._table_names))
        missing = sorted({function.handler for function in functions.values()} - roles.keys())
        if missing:
            raise NitroError(f"The template has no function `{missing[0]}`.", file=str(output / TEMPLATE))
        keys = [(make_credentials(function), function.handler) for function in functions.values()]
        verifier = SignatureVerifier((CREDENTIALS, *(key for key, _ in keys)), REGION)
        return CallGuard(verifier, {key.access_key: roles[handler] for key, handler in keys})

    async def _start_dynamodb(self) -> DynamoDbApi:
        database = self._database or (await self._stack.enter_async_context(LocalDynamoDb())).url
        if self._bundle.has_table:
            await make_table(database, self._table, REGION, FixedCredentials())
        await make_tables(self._own_tables, database, REGION, FixedCredentials())
        api = DynamoDbApi(database, TABLES, self._guard, self.faults)
        self._stack.push_async_callback(api.close)
        return api

    def _make_secrets_api(self) -> SecretsApi:
        values = {}
        for name, reference in self._bundle.secrets.items():
            if name not in self._added:
                raise UsageError(
                    f"The secret `{name}` (`{reference}`) has no value on this machine.",
                    hint=f"Set `{name}` in `.env` or the environment: the preview asks no AWS.",
                )
            values[reference] = self._added[name]
        return SecretsApi(SECRET_ARNS, values, self._guard)

    def _make_host_check(self) -> HostCheck | None:
        if self._local_host is None:
            return None
        settings = Settings.from_json(read_manifest(self._bundle.server).settings, {})
        return make_host_check(settings.server.allowed_hosts, self._local_host)

    def _make_publish_endpoint(self) -> PublishEndpoint | None:
        if self._publish_token is None or "websocket" not in self._pools:
            return None
        return PublishEndpoint(self._pools["websocket"], self._publish_token)

    def _make_pool(self, function: Function) -> FunctionPool:
        def make_process(number: int) -> FunctionProcess:
            return FunctionProcess(
                function.name,
                number,
                make_command(self._bundle),
                make_environment(function, self._bundle, self._services, self._added, number),
                make_arn(function),
                self._limits,
            )

        return FunctionPool(function, self._concurrency, make_process, self.faults, self._limits)

    def _make_websocket_api(self) -> WebSocketApi:
        pool = self._pools["websocket"]
        if self._queue_settings is not None:
            url = self._services.queue_url
            self._queue = FifoQueue(url, make_queue_arn(), REGION, pool, self._guard, self._queue_settings)
            self._stack.push_async_callback(self._queue.close)
        websocket_api = WebSocketApi(API, self.connections, pool, self._queue, self.faults, self._limits)
        self._stack.push_async_callback(websocket_api.close)
        self._websocket_api = websocket_api
        return websocket_api


def count(noun: str, number: int) -> str:
    """Return a number with its noun.

    Example:
        >>> count("call", 1), count("call", 2)
        ('1 call', '2 calls')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _http_domain(function: Function) -> str:
    if function.event == "http-api":
        return f"localhttp0.execute-api.{REGION}.amazonaws.com"
    return f"localurl0.lambda-url.{REGION}.on.aws"
