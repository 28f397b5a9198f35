"""The row about backplanes: what the way of a message through a broker costs, the broker's own work included."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import uvloop

from nitro_py.backplane import BackplaneConnection, Outgoing
from nitro_py.brokers.registry import load_backplane
from nitro_py.runtime.settings import BackplaneSettings
from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.meters import read_cpu
from tests.benchmarks.rows import OURS, Bench, Contender, Measure, Row, Sample, Target
from tests.brokers.local import run_local_broker
from tests.brokers.postgres import run_postgres
from tests.brokers.processes import run_broker

# How many connections hear each message, and how large it is, in bytes.
LISTENERS = 3
SIZE = 200
# How many messages are published at once, as a process under load does.
BATCH = 64
# How long all of them may take, in seconds.
PATIENCE = 120.0


class MeasuredBroker(Protocol):
    """A broker that runs."""

    @property
    def name(self) -> str:
        """The backplane that it is for."""

    @property
    def url(self) -> str:
        """What `backplane_url` says."""

    @property
    def pid(self) -> int:
        """Its process."""


Run = Callable[[Bench], AbstractContextManager[MeasuredBroker]]
RUNS: dict[str, Run] = {
    f"{OURS}, local": lambda bench: run_local_broker(bench.folder / "local-broker.log"),
    f"{OURS}, Redis": lambda bench: run_broker("redis"),
    f"{OURS}, NATS": lambda bench: run_broker("nats"),
    f"{OURS}, Postgres": lambda bench: run_postgres(),
}


class Count:
    """The messages that have come."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self.complete = asyncio.Event()

    async def add(self, data: bytes) -> None:
        """Count one."""
        self._left -= 1
        if self._left == 0:
            self.complete.set()


async def deliver(broker: MeasuredBroker, messages: int) -> Sample:
    """Publish messages, and measure until every listener has heard all of them."""
    backplane = load_backplane(BackplaneSettings(broker.name, broker.url, "bench"))
    if backplane is None:
        raise BenchmarkError(f"`{broker.name}` is no backplane.")
    batches = messages // BATCH
    count = Count(batches * BATCH * LISTENERS)
    connections: list[BackplaneConnection] = [await backplane.connect(count.add) for _ in range(LISTENERS + 1)]
    publisher, *listeners = connections
    for listener in listeners:
        await listener.subscribe(["bench"])
    used, began = time.process_time() + read_cpu(broker.pid), time.monotonic()
    for batch in range(batches):
        data = (b"%d".ljust(SIZE) % (batch * BATCH + number) for number in range(BATCH))
        await publisher.publish([Outgoing("bench", item) for item in data])
    async with asyncio.timeout(PATIENCE):
        await count.complete.wait()
    wall = time.monotonic() - began
    used = time.process_time() + read_cpu(broker.pid) - used
    for connection in connections:
        await connection.close()
    return Sample(used / (batches * BATCH * LISTENERS) * 1e6, {"wall": wall})


def open_broker(run: Run) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a contender."""

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        with run(bench) as broker, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(deliver(broker, 1_024))
            yield lambda: runner.run(deliver(broker, bench.scale(20_480, 4_096)))

    return open_contender


ROWS = (
    Row(
        name="backplane",
        title=f"a message through a broker to {LISTENERS} processes, a delivery",
        unit="µs of CPU",
        contenders=tuple(Contender(name, open_broker(run)) for name, run in RUNS.items()),
        target=Target(f"{OURS}, Redis", 1.0),
    ),
)
