"""What a lost broker, a killed worker and one that hangs cost, under load and on real brokers."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from nitro_py.testing.conformance.suite.steps import do, poll
from tests.brokers.postgres import run_postgres
from tests.brokers.processes import BROKERS, run_broker
from tests.conformance.conftest import build_suite
from tests.conformance.processes import (
    COUNT,
    PROCESS,
    AnyBroker,
    Replicas,
    Spread,
    add_process_header,
    run_replicas,
    run_workers,
)
from tests.process_states import find_parent, list_children, read_command, read_state
from tests.reliability.load import LOAD_PATH, PATIENCE, Listener, Load, Publication, run_load

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

Report = Callable[[str], None]

LOCAL, POSTGRES = "local", "postgres"
with_brokers = pytest.mark.parametrize("broker", [*BROKERS, POSTGRES], indirect=True)
with_workers = pytest.mark.parametrize("broker", [*BROKERS, POSTGRES, LOCAL], indirect=True)

# How long the load runs before a fault and after it, in seconds.
CALM = 1.0
# How long the broker is away, in seconds.
AWAY = 2.0
# How long a worker hangs, in seconds.
HANGS = 10.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the suite's app, whose processes name themselves."""
    return build_suite(tmp_path_factory.mktemp("suite") / "app", prepare=add_process_header)


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Iterator[AnyBroker | None]:
    """Run a broker for one test; workers start theirs themselves."""
    if request.param == LOCAL:
        yield None
        return
    with run_postgres() if request.param == POSTGRES else run_broker(request.param) as broker:
        yield broker


def name_broker(broker: AnyBroker | None) -> str:
    """Return the name of the backplane."""
    return LOCAL if broker is None else broker.name


async def reach_status(target: Replicas, status: str) -> float:
    """Wait until every process says that it is so, and return the moment."""
    async with httpx.AsyncClient(verify=False, trust_env=False) as client:
        for url in target.urls:
            await poll(
                lambda url=url: client.get(f"{url}/_nitro/health"),  # type: ignore[misc]
                lambda answer: answer.status_code == 200 and answer.json()["status"] == status,
            )
    return time.monotonic()


async def reach_state(pid: int, good: Callable[[str | None], bool]) -> None:
    """Wait until a signal has done what it does to a process, which may take a moment."""

    async def look() -> str | None:
        return read_state(pid)

    await poll(look, good)


async def hear_one(target: Spread, topic: str) -> None:
    """Join the topic on the process whose turn it is, and wait for one of its messages."""
    async with target.connect(LOAD_PATH) as socket:
        await do(socket, "subscribe", topic=topic)
        while (await socket.receive_text()).startswith("{"):
            pass


@with_brokers
async def test_broker_is_killed_and_comes_back(
    broker: AnyBroker, bundle: Path, tmp_path: Path, report: Report
) -> None:
    with run_replicas(bundle, broker, tmp_path) as target:
        async with run_load(target) as load:
            await asyncio.sleep(CALM)
            handed_on = await load.reach_everybody()
            killed = time.monotonic()
            await asyncio.to_thread(broker.stop)
            degraded = await reach_status(target, "degraded") - killed
            await asyncio.sleep(AWAY - degraded)
            started = time.monotonic()
            await asyncio.to_thread(broker.start)
            back = await reach_status(target, "ok")
            await asyncio.sleep(CALM)

    def is_local(publication: Publication, listener: Listener) -> bool:
        return publication.process == listener.process

    def is_outside(publication: Publication, listener: Listener) -> bool:
        return publication.done < handed_on or publication.begun > back

    load.check_once_and_in_order()
    assert load.lost(is_local) == 0
    assert load.lost(is_outside) == 0
    meanwhile = load.count(lambda publication: killed < publication.begun < started)
    apart = load.lost(lambda publication, listener: not is_local(publication, listener))
    assert meanwhile > 0
    assert apart > 0
    report(
        f"{broker.name}: broker away for {started - killed:.1f} s: all {COUNT} processes degraded after "
        f"{degraded:.2f} s, connected {back - started:.2f} s after its start; {len(load.publications)} messages, "
        f"{meanwhile} while it was away: repeated 0, out of order 0, lost 0 within a process, 0 outside the "
        f"outage, {apart} deliveries to other processes during it."
    )


@asynccontextmanager
async def run_calm_workers(
    bundle: Path, broker: AnyBroker | None, folder: Path
) -> AsyncIterator[tuple[Spread, Load]]:
    """Run workers under load, which runs undisturbed before the block and after it."""
    with run_workers(bundle, broker, folder) as target:
        async with run_load(target) as load:
            await asyncio.sleep(CALM)
            yield target, load
            await asyncio.sleep(CALM)


def find_local_broker(worker: str) -> int:
    """Return the process of the broker of a worker, a child of the same parent."""
    parent = find_parent(int(worker))
    assert parent is not None
    (found,) = (pid for pid in list_children(parent) if "--broker" in read_command(pid))
    return found


async def test_local_broker_is_killed(bundle: Path, tmp_path: Path, report: Report) -> None:
    async with run_calm_workers(bundle, None, tmp_path) as (target, load):
        broker = find_local_broker(target.processes[0])
        handed_on = await load.reach_everybody()
        os.kill(broker, signal.SIGKILL)
        # Its parent takes its status, and with that its number is gone.
        await asyncio.to_thread(wait_until_gone, broker)
        killed = time.monotonic()

        async def reached() -> set[str]:
            """Return the processes from which everybody has heard what was published after the fault."""
            heard = set.intersection(*(set(listener.heard) for listener in load.listeners))
            late = (load.publications[key] for key in heard & load.publications.keys())
            return {publication.process for publication in late if publication.begun > killed}

        await poll(reached, lambda processes: processes == set(target.processes))
        back = time.monotonic()

    def is_local(publication: Publication, listener: Listener) -> bool:
        return publication.process == listener.process

    def is_outside(publication: Publication, listener: Listener) -> bool:
        return publication.done < handed_on or publication.begun > back

    load.check_once_and_in_order()
    assert load.lost(is_local) == 0
    assert load.lost(is_outside) == 0
    apart = load.lost(lambda publication, listener: not is_local(publication, listener))
    report(
        f"local: broker killed: another in its place and all {COUNT} workers connected after "
        f"{back - killed:.2f} s; {len(load.publications)} messages: repeated 0, out of order 0, "
        f"lost 0 within a process, 0 outside the outage, {apart} deliveries to other processes during it."
    )


def wait_until_gone(pid: int) -> None:
    """Wait until a process is gone."""
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@with_workers
async def test_worker_is_killed(broker: AnyBroker | None, bundle: Path, tmp_path: Path, report: Report) -> None:
    async with run_calm_workers(bundle, broker, tmp_path) as (target, load):
        victim = target.processes[0]
        killed = time.monotonic()
        os.kill(int(victim), signal.SIGKILL)
        await reach_state(int(victim), lambda state: state in (None, "Z"))
        await target.find_processes()
        replaced = time.monotonic() - killed
        assert victim not in target.processes
        for _ in target.processes:
            await hear_one(target, load.topic)

    def is_healthy(publication: Publication, listener: Listener) -> bool:
        return listener.process != victim

    load.check_once_and_in_order()
    assert load.lost(is_healthy) == 0
    own = load.count(lambda publication: publication.process == victim)
    assert own > 0
    report(
        f"{name_broker(broker)}: 1 of {COUNT} workers killed: another in its place after {replaced:.2f} s; "
        f"{len(load.publications)} messages, {own} of them by the one that died: repeated 0, out of order 0, "
        f"lost 0 among the others; {load.describe_delays(is_healthy)}."
    )


@with_workers
async def test_worker_hangs(broker: AnyBroker | None, bundle: Path, tmp_path: Path, report: Report) -> None:
    async with run_calm_workers(bundle, broker, tmp_path) as (target, load):
        victim = target.processes[0]
        stopped = time.monotonic()
        os.kill(int(victim), signal.SIGSTOP)
        try:
            await reach_state(int(victim), lambda state: state == "T")
            answers = await asyncio.gather(*(target.request("GET", "/peers") for _ in range(20)))
            await asyncio.sleep(stopped + HANGS - time.monotonic())
        finally:
            os.kill(int(victim), signal.SIGCONT)
        resumed = time.monotonic()
        own = [listener for listener in load.listeners if listener.process == victim]

        async def newest() -> float:
            """Return when the latest message was begun that all listeners of the victim have heard."""
            heard = set.intersection(*(set(listener.heard) for listener in own))
            return max((load.publications[key].begun for key in heard & load.publications.keys()), default=0.0)

        await poll(newest, lambda begun: begun > resumed)
        # What lay in its buffers may be newer than that, and it may only then find its connection to be lost.
        await asyncio.sleep(CALM)
        calm = time.monotonic()
        await poll(newest, lambda begun: begun > calm)
        caught_up = time.monotonic()

    def is_healthy(publication: Publication, listener: Listener) -> bool:
        return victim not in (publication.process, listener.process)

    load.check_once_and_in_order()
    assert {answer.headers[PROCESS] for answer in answers} <= set(target.processes) - {victim}
    assert load.lost(is_healthy) == 0
    assert load.lost(lambda publication, listener: publication.begun > caught_up) == 0
    meanwhile = load.count(lambda publication: stopped < publication.begun < resumed)
    missed = load.lost(lambda publication, listener: listener.process == victim)
    report(
        f"{name_broker(broker)}: 1 of {COUNT} workers hung for {resumed - stopped:.1f} s: "
        f"{meanwhile} messages meanwhile: repeated 0, out of order 0, lost 0 among the others, "
        f"{load.describe_delays(is_healthy)}; the one that "
        f"hung caught up {caught_up - resumed:.2f} s after, and its {len(own)} listeners missed {missed}."
    )
