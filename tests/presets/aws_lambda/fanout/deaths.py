"""Invocations that die at any of their steps, as killed functions do, and what was under way when they did."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from nitro_presets.aws_lambda.aws_client.http import ServiceResponse
from nitro_presets.aws_lambda.aws_client.management import ManagementClient
from nitro_presets.aws_lambda.fanout.job_store import Job, JobStore
from nitro_presets.aws_lambda.store.contract import ConnectionStore
from nitro_presets.aws_lambda.store.keys import pick_shard, topic_sort
from nitro_presets.aws_lambda.websocket.function import WebSocketFunction
from nitro_presets.aws_lambda.websocket.peer import AwsHub
from nitro_presets.aws_lambda.websocket.services import AwsServices
from nitro_py.errors import NitroError
from tests.presets.aws_lambda.websocket.stage import PATH, Cloud, ManagementDouble

# How many invocations run at a time; the others wait, as they do for an account's concurrency.
ENVIRONMENTS = 24
# The latest step to die at. A post is two steps, and a page of a walk is six.
MAX_STEPS = 500
MAX_WALK_STEPS = 30


@dataclass(slots=True)
class Death:
    """How an invocation died.

    Args:
        kind: What it was doing.
        announced: The posts that it had said to begin, and that had no answer.
        begun: Those of them that had begun.
    """

    kind: str
    announced: int
    begun: int


class Audience:
    """The healthy subscribers, in the order in which pages have them."""

    def __init__(self, ids: Collection[str], shards: int) -> None:
        self.ids = frozenset(ids)
        self._keys: list[list[str]] = [[] for _ in range(shards)]
        for id in ids:
            self._keys[pick_shard(id, shards)].append(topic_sort(PATH, id))
        for keys in self._keys:
            keys.sort()

    def between(self, shard: int, start: str | None, end: str | None) -> int:
        """Count those of a shard that come behind one key, up to another."""
        keys = self._keys[shard]
        first = 0 if start is None else bisect_right(keys, start)
        return (len(keys) if end is None else bisect_right(keys, end)) - first


class Life:
    """One invocation's, and ends at a step; after it, nothing more that it does has any effect.

    Args:
        cloud: Where it lives.
        kind: What it does.
        steps: How many steps it has; `None` is as many as it wants.
    """

    def __init__(self, cloud: MortalCloud, kind: str, steps: int | None) -> None:
        self.cloud = cloud
        self.kind = kind
        self.task = asyncio.current_task()
        self.announced = self.begun = self.answered = 0
        self._left = steps
        self._dead = False

    async def step(self) -> None:
        """Take a step, or dies."""
        if self._left is None:
            return
        if not self._dead:
            self._left -= 1
            if self._left <= 0:
                self._dead = True
                death = Death(self.kind, self.announced - self.answered, self.begun - self.answered)
                self.cloud.deaths.append(death)
                assert self.task is not None
                self.task.cancel()
        if self._dead:
            raise asyncio.CancelledError
        await asyncio.sleep(0)


class Steps:
    """Passes calls on to a store; each is a step before it is done and another one after."""

    def __init__(self, target: object, life: Life) -> None:
        self._target = target
        self._life = life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if not callable(method):
            return method

        async def call(*args: Any, **options: Any) -> Any:
            await self._life.step()
            result = await method(*args, **options)
            if result and name in ("advance", "finish") and args[0].kind == "post":
                job: Job = args[0]
                end = args[1] if name == "advance" else job.end
                self._life.announced += self._life.cloud.audience.between(job.shards[0], job.start, end)
            await self._life.step()
            return result

        return call


class MortalPool:
    """Carries requests to the management API; the invocation may die before one arrives, or its answer."""

    def __init__(self, management: ManagementDouble, life: Life) -> None:
        self._management = management
        self._life = life

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> ServiceResponse:
        """Send one request."""
        await self._life.step()
        response = await self._management.request(method, target, headers, body)
        await self._life.step()
        return response


class MortalPoster:
    """Posts by the real client, and counts the posts under way."""

    def __init__(self, client: ManagementClient, life: Life) -> None:
        self._client = client
        self._life = life
        self.delete = client.delete
        self.get = client.get

    async def post(self, id: str, frame: str | bytes) -> None:
        """Post a message."""
        counts = id in self._life.cloud.audience.ids
        self._life.begun += counts
        try:
            await self._client.post(id, frame)
        except NitroError:
            self._life.answered += counts
            raise
        self._life.answered += counts


class MortalCloud(Cloud):
    """Kills invocations that do the jobs of publications.

    Args:
        hooks: Those of the only route.
        risk: How likely each dies.
        shards: How many shards each topic is spread over.
        aws: The config's `aws.*`.
    """

    def __init__(self, hooks: Mapping[str, Any], *, risk: float, shards: int, **aws: Any) -> None:
        super().__init__(hooks, shards=shards, **aws)
        self.risk = risk
        self.random = random.Random(5)
        self.audience = Audience((), shards)
        self.deaths: list[Death] = []
        self._room = asyncio.Semaphore(ENVIRONMENTS)

    async def handle(self, event: dict[str, Any], seconds: float) -> Any:
        """Run one invocation."""
        async with self._room:
            work = event["nitro"]
            kind = work.get("job", {}).get("kind", "resumed" if work["kind"] == "job" else work["kind"])
            services = self.live(Life(self, kind, self._draw_steps(kind)))
            function = WebSocketFunction(self.app, AwsHub(services), services)
            return await function.handle(event, lambda: seconds)

    def _draw_steps(self, kind: str) -> int | None:
        # There are few walks, so each dies when it is begun by its parent.
        risk = {"close": 0.0, "walk": 1.0}.get(kind, self.risk)
        if not self.risk or self.random.random() >= risk:
            return None
        return self.random.randint(1, MAX_WALK_STEPS if kind in ("walk", "sweep") else MAX_STEPS)

    def live(self, life: Life) -> AwsServices:
        """Make an invocation's services."""
        client = self.management.connect()
        client._service._pool = MortalPool(self.management, life)  # type: ignore[assignment]
        services = self.services()
        services.store = cast(ConnectionStore, Steps(self.store, life))
        services.jobs = cast(JobStore, Steps(self.jobs, life))
        services.poster = MortalPoster(client, life)
        services.invoker = Steps(self, life)
        return services
