"""The gateway: everything that a bundle meets on AWS, on this machine."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from nitro_presets.aws_lambda.aws_client.credentials import Credentials
from nitro_presets.aws_lambda.gateway.bundle import Function, LocalBundle, read_bundle
from nitro_presets.aws_lambda.gateway.connections import GatewayConnections
from nitro_presets.aws_lambda.gateway.environment import (
    API,
    CREDENTIALS,
    REGION,
    ServiceUrls,
    make_arn,
    make_command,
    make_environment,
    make_queue_arn,
)
from nitro_presets.aws_lambda.gateway.fault_injection import Faults
from nitro_presets.aws_lambda.gateway.fifo_queue import FifoQueue
from nitro_presets.aws_lambda.gateway.http_api import HttpApi
from nitro_presets.aws_lambda.gateway.http_server import Listener
from nitro_presets.aws_lambda.gateway.lambda_api import LambdaApi
from nitro_presets.aws_lambda.gateway.local_dynamodb import LocalDynamoDb, make_table
from nitro_presets.aws_lambda.gateway.management_api import ManagementApi
from nitro_presets.aws_lambda.gateway.pool import FunctionPool
from nitro_presets.aws_lambda.gateway.process import FunctionProcess
from nitro_presets.aws_lambda.gateway.publish_endpoint import PublishEndpoint
from nitro_presets.aws_lambda.gateway.quotas import AWS_QUOTAS, CONCURRENCY, Quotas
from nitro_presets.aws_lambda.gateway.router import GatewayRouter
from nitro_presets.aws_lambda.gateway.signed_calls import SignatureVerifier
from nitro_presets.aws_lambda.gateway.websocket_api import WebSocketApi
from nitro_py.server.ports import bind_port, format_url

# What the stack's schedule sends.
SWEEP = b'{"nitro": {"kind": "sweep"}}'


class FixedCredentials:
    """Gives the gateway's own credentials."""

    async def get(self) -> Credentials:
        """Return them."""
        return CREDENTIALS


class Gateway:
    """Runs a bundle while it is entered.

    Args:
        output: The output folder of a build.
        listener: The socket to serve on; by default a free port of this machine.
        concurrency: How many processes a function has at most; calls beyond wait.
        faults: What goes wrong on purpose; may be changed at any time.
        limits: What the platform allows.
        environment: Variables that functions get besides their own.
        publish_token: What `nitropy publish` proves itself by; without one nobody publishes from outside.
        database: URL of a DynamoDB that runs already; by default moto's server is started.

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
        self._publish_token = publish_token
        self._database = database
        self._stack = AsyncExitStack()
        self._pools: dict[str, FunctionPool] = {}
        self._verifier = SignatureVerifier(CREDENTIALS, REGION)
        self._invoker = LambdaApi(self._pools, self._verifier, limits)
        self._queue: FifoQueue | None = None
        self._sockets: WebSocketApi | None = None
        self._services = ServiceUrls("", "", "", "")

    @property
    def url(self) -> str:
        """Where clients connect: the app at the local paths, AWS's services below `/_aws`."""
        return format_url(self._listener)

    @property
    def callback_url(self) -> str:
        """The management endpoint, as functions are told it."""
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
        return self._services.database

    @property
    def dead_letters(self) -> tuple[str, ...]:
        """The events of asynchronous calls, and the queue's messages, that were given up."""
        queued = self._queue.dead_letters if self._queue is not None else []
        return (*(payload.decode() for payload in self._invoker.dead_letters), *queued)

    def pids(self, function: str) -> tuple[int, ...]:
        """List a function's processes that have started."""
        return self._pools[function].pids

    async def kill(self, function: str) -> None:
        """Kill all processes of a function, in the middle of whatever they do."""
        await self._pools[function].kill()

    async def invoke(self, function: str, payload: bytes) -> None:
        """Call a function asynchronously, and wait for its answer; an error makes a dead letter."""
        await self._invoker.call(function, payload, None)

    async def sweep(self) -> None:
        """Do what the stack's schedule does every five minutes, and wait for the answer."""
        if "websocket" in self._pools:
            await self.invoke("websocket", SWEEP)

    async def idle(self) -> None:
        """Wait until no event is under way: no invocation runs or waits, and no queue holds a message."""
        parts = [part for part in (self._sockets, self._queue, self._invoker) if part is not None]
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
        database, table = "", f"nitro-{secrets.token_hex(4)}"
        if "websocket" in functions:
            database = self._database or (await self._stack.enter_async_context(LocalDynamoDb())).url
            await make_table(database, table, REGION, FixedCredentials())
        self._services = ServiceUrls(self.url, database, table, secrets.token_urlsafe(24))
        for name, function in functions.items():
            self._pools[name] = self._make_pool(function)
            self._stack.push_async_callback(self._pools[name].close)
        self._stack.push_async_callback(self._invoker.close)
        http = (
            HttpApi(self._pools["http"], _http_domain(functions["http"]), self._limits)
            if "http" in functions
            else None
        )
        front = GatewayRouter(
            api=API,
            secret=self._services.secret,
            management=ManagementApi(self.connections, self._verifier, self.faults, self._limits),
            invoker=self._invoker,
            sockets=self._make_sockets() if "websocket" in functions else None,
            http=http,
            queue=self._queue,
            publisher=self._make_publisher(),
        )
        serving = Listener(front.handle)
        self._stack.push_async_callback(serving.close)
        await serving.open(self._listener)

    def _make_publisher(self) -> PublishEndpoint | None:
        if self._publish_token is None or "websocket" not in self._pools:
            return None
        return PublishEndpoint(self._pools["websocket"], self._publish_token)

    def _make_pool(self, function: Function) -> FunctionPool:
        def make_worker(number: int) -> FunctionProcess:
            return FunctionProcess(
                f"{function.name} {number}",
                make_command(self._bundle),
                make_environment(function, self._bundle, self._services, self._added, number),
                make_arn(function),
                self._limits,
            )

        return FunctionPool(function, self._concurrency, make_worker, self.faults, self._limits)

    def _make_sockets(self) -> WebSocketApi:
        pool = self._pools["websocket"]
        if pool.function.ordered:
            url = self._services.queue_url
            self._queue = FifoQueue(url, make_queue_arn(), REGION, pool, self._verifier)
            self._stack.push_async_callback(self._queue.close)
        sockets = WebSocketApi(API, self.connections, pool, self._queue, self.faults, self._limits)
        self._stack.push_async_callback(sockets.close)
        self._sockets = sockets
        return sockets


def _http_domain(function: Function) -> str:
    if function.event == "http-api":
        return f"localhttp0.execute-api.{REGION}.amazonaws.com"
    return f"localurl0.lambda-url.{REGION}.on.aws"
