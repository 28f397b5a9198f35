"""A stage for the WebSocket function: a store in memory, invocations as tasks, an API behind the real client."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from nitro_presets.aws_lambda.aws_client.credentials import Credentials
from nitro_presets.aws_lambda.aws_client.errors import ServiceError
from nitro_presets.aws_lambda.aws_client.http import ServiceResponse
from nitro_presets.aws_lambda.aws_client.management import ManagementClient
from nitro_presets.aws_lambda.aws_client.service import Retry
from nitro_presets.aws_lambda.fanout.job_store import JobStore
from nitro_presets.aws_lambda.store.contract import ConnectionRow, ConnectionStore
from nitro_presets.aws_lambda.store.keys import pick_shard
from nitro_presets.aws_lambda.websocket.function import WebSocketFunction
from nitro_presets.aws_lambda.websocket.peer import AwsHub
from nitro_presets.aws_lambda.websocket.services import AwsServices, FunctionSettings
from nitro_py.runtime.app import App
from nitro_py.runtime.manifest import Manifest, Route
from nitro_py.websocket import WebSocketHandler, define_websocket_handler
from tests.doubles.memory_jobs import MemoryJobStore
from tests.doubles.memory_store import MemoryStore
from tests.presets.aws_lambda.settings import aws_settings

PATH = "/chat"
ROUTE = Route(PATH, "websocket", (), "handlers/chat.py")
QUICK = Retry(attempts=6, base=0.001, cap=0.005)
# How long ago the connections of a crowd were made, in seconds.
AGE = 60


class Clock:
    """A clock that is ahead of the time by as much as a test says."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class FixedSource:
    """A source of credentials, which no service checks."""

    def __init__(self) -> None:
        self._credentials = Credentials("AKID", "secret")

    async def get(self) -> Credentials:
        """Return the same ones always."""
        return self._credentials


class ManagementDouble:
    """API Gateway's end of the management API: the transport under the real client, and who received what."""

    def __init__(self) -> None:
        self.received: defaultdict[str, list[str]] = defaultdict(list)
        self.gone: set[str] = set()
        self.deleted: list[str] = []
        self.asked: list[str] = []
        # How often each connection still says 429, or is not there yet.
        self.busy: Counter[str] = Counter()
        self.absent: Counter[str] = Counter()
        self.broken: set[str] = set()
        # What the answers of slow connections wait for.
        self.slow: dict[str, asyncio.Event] = {}
        self.requests = 0
        self.under_way = 0
        self.most_under_way = 0

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> ServiceResponse:
        """Answer one request."""
        self.requests += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self.answer(method, unquote(target.rpartition("/")[2]), body)
        finally:
            self.under_way -= 1

    async def answer(self, method: str, id: str, body: bytes) -> ServiceResponse:
        """Do what a request asks for, if the connection is there and has room."""
        await asyncio.sleep(0)
        if id in self.slow:
            await self.slow[id].wait()
        for status, counter in ((429, self.busy), (410, self.absent)):
            if counter[id] > 0:
                counter[id] -= 1
                return respond(status)
        if id in self.gone or id in self.broken:
            return respond(410 if id in self.gone else 403)
        if method == "GET":
            self.asked.append(id)
            return ServiceResponse(200, b"HTTP/1.1 200 X", b"{}")
        if method == "DELETE":
            self.gone.add(id)
            self.deleted.append(id)
            return respond(204)
        self.received[id].append(body.decode())
        return respond(200)

    def connect(self) -> ManagementClient:
        """Make a client whose calls end here."""
        client = ManagementClient(
            "http://edge/prod", region="eu-central-1", credentials=FixedSource(), retry=QUICK
        )
        client._service._pool = self  # type: ignore[assignment]
        return client


def respond(status: int) -> ServiceResponse:
    """Make an answer."""
    return ServiceResponse(status, f"HTTP/1.1 {status} X".encode(), b"")


class Counted:
    """Passes calls on and counts them."""

    def __init__(self, target: object, calls: Counter[str]) -> None:
        self._target = target
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if not callable(method):
            return method

        def call(*args: Any, **options: Any) -> Any:
            self._calls[name] += 1
            return method(*args, **options)

        return call


class StageApp(App):
    """An app with one route, whose hooks a test gives it."""

    def __init__(self, handler: WebSocketHandler, aws: dict[str, Any]) -> None:
        super().__init__(Path(), Manifest("production", (ROUTE,), settings={"aws": aws}), kinds=(), threads=False)
        self.handler = handler

    def handler_of(self, route: Route) -> WebSocketHandler:
        """Return the hooks."""
        return self.handler


class Cloud:
    """A runner of invocations, each as a task with services of its own on the one store.

    Args:
        hooks: Those of the only route.
        shards: How many shards each topic is spread over.
        store: Where connections are kept, if not in memory.
        jobs: Where jobs are kept, if not in memory.
        aws: The config's `aws.*`.
    """

    def __init__(
        self,
        hooks: Mapping[str, Any] | None = None,
        *,
        shards: int = 1,
        store: ConnectionStore | None = None,
        jobs: JobStore | None = None,
        **aws: Any,
    ) -> None:
        self.clock = Clock()
        self.store = store or MemoryStore(shards=shards, clock=self.clock)
        self.jobs = jobs or MemoryJobStore(clock=self.clock)
        self.management = ManagementDouble()
        self.settings = FunctionSettings.from_json(aws_settings(**aws, shards=shards))
        self.app = StageApp(define_websocket_handler(**(hooks or {})), aws)
        self.calls: Counter[str] = Counter()
        # The work that invocations were sent, and the traces they came with.
        self.sent: list[dict[str, Any]] = []
        self.payloads: list[bytes] = []
        self.traces: list[str | None] = []
        self.queued: list[tuple[str, str, dict[str, Any]]] = []
        self.refusing = False
        # How often each invocation comes; none are lost and none doubled by default.
        self.copies = 1
        self.seconds = 30.0
        self.tasks: set[asyncio.Task[Any]] = set()
        self.failures: list[BaseException] = []

    async def invoke_async(self, function: str, payload: bytes, *, trace: str | None) -> None:
        """Take an asynchronous invocation."""
        assert function == "sockets"
        assert len(payload) <= 256 * 1024, "Lambda refuses the payload"
        if self.refusing:
            raise ServiceError("Rate exceeded.", status=429, code="TooManyRequestsException")
        self.payloads.append(payload)
        self.sent.append(json.loads(payload)["nitro"])
        self.traces.append(trace)
        for _ in range(self.copies):
            self.start(json.loads(payload))

    async def send(self, queue_url: str, body: str, *, group: str, dedup: str) -> None:
        """Take what is queued."""
        assert queue_url == "queue"
        self.queued.append((group, dedup, json.loads(body)))

    def services(self) -> AwsServices:
        """Make one invocation's services."""
        return AwsServices(
            store=cast(ConnectionStore, Counted(self.store, self.calls)),
            jobs=cast(JobStore, Counted(self.jobs, self.calls)),
            poster=self.management.connect(),
            invoker=self,
            function="sockets",
            settings=self.settings,
            queue=self if self.settings.ordered else None,
            queue_url="queue" if self.settings.ordered else "",
        )

    def hub(self) -> AwsHub:
        """Make the hub of a publisher."""
        return AwsHub(self.services())

    async def run(self, event: dict[str, Any], seconds: float | None = None) -> Any:
        """Run one invocation to its end, outside of this one's context."""
        return await self.start(event, seconds)

    def start(self, event: dict[str, Any], seconds: float | None = None) -> asyncio.Task[Any]:
        """Start an invocation."""
        task = asyncio.create_task(self.handle(event, self.seconds if seconds is None else seconds))
        self.tasks.add(task)
        task.add_done_callback(self._end)
        return task

    async def handle(self, event: dict[str, Any], seconds: float) -> Any:
        """Run one invocation."""
        until = time.monotonic() + seconds
        services = self.services()
        function = WebSocketFunction(self.app, AwsHub(services), services)
        return await function.handle(event, lambda: max(0.0, until - time.monotonic()))

    async def settle(self) -> None:
        """Wait for all invocations, and those that follow from them."""
        while self.tasks:
            await asyncio.wait(self.tasks)
            # Their last callbacks.
            await asyncio.sleep(0)

    async def sweep(self) -> None:
        """Run the scheduled sweep, and what follows from it."""
        self.start({"nitro": {"kind": "sweep"}})
        await self.settle()

    async def populate(self, ids: Iterable[str], topic: str = "news", namespace: str = PATH) -> None:
        """Connect peers and subscribe them, some time ago."""
        now = self.clock()
        for id in ids:
            row = ConnectionRow(
                id,
                PATH,
                f"wss://h{PATH}",
                namespace,
                connected_at=now - AGE,
                expires_at=int(now) + 7200,
                shard=pick_shard(id, self.store.shards),
            )
            await self.store.put_connection(row)
            await self.store.subscribe(row, topic)
        self.calls.clear()

    def _end(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to become so."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
