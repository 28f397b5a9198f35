"""Topics keep the contract across four processes, on real brokers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from nitro_py.testing.conformance.suite.steps import open_script
from nitro_py.testing.conformance.suite.topics import Topics
from tests.brokers.processes import BROKERS, RealBroker, run_broker
from tests.conformance.conftest import build_suite
from tests.conformance.processes import COUNT, PROCESS, Spread, add_process_header, run_replicas, run_workers

RUNNERS = {"replicas": run_replicas, "workers": run_workers}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the suite's app, whose processes name themselves."""
    return build_suite(tmp_path_factory.mktemp("suite") / "app", prepare=add_process_header)


@pytest.fixture(scope="module", params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Iterator[RealBroker]:
    """Run a broker."""
    with run_broker(request.param) as broker:
        yield broker


@pytest.fixture(scope="module", params=RUNNERS)
def target(
    request: pytest.FixtureRequest, bundle: Path, broker: RealBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Spread]:
    """Run the app in four processes."""
    journal = tmp_path_factory.mktemp("journal")
    with RUNNERS[request.param](bundle, broker, journal) as target:
        yield target


@pytest.mark.slow
class TestProcesses(Topics):
    """The part on topics: its sockets sit on one process after the other."""

    async def test_sockets_really_sit_on_different_processes(self, target: Spread) -> None:
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(open_script(target)) for _ in range(COUNT)]
            assert len({socket.headers[PROCESS] for socket in sockets}) == COUNT
