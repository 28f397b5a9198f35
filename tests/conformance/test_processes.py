"""Topics keep the contract across four processes, on real brokers and on that of the workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from nitro_py.runtime.settings import LOCAL
from nitro_py.testing.conformance.suite.steps import open_script
from nitro_py.testing.conformance.suite.topics import Topics
from tests.brokers.processes import BROKERS, run_broker
from tests.conformance.conftest import build_suite
from tests.conformance.processes import COUNT, PROCESS, Spread, add_process_header, run_replicas, run_workers

RUNNERS = {"replicas": run_replicas, "workers": run_workers}
TARGETS = [("workers", LOCAL), *((runner, name) for name in BROKERS for runner in RUNNERS)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the suite's app, whose processes name themselves."""
    return build_suite(tmp_path_factory.mktemp("suite") / "app", prepare=add_process_header)


@pytest.fixture(scope="module", params=TARGETS, ids="-".join)
def target(
    request: pytest.FixtureRequest, bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Spread]:
    """Run the app in four processes."""
    runner, name = request.param
    with ExitStack() as stack:
        # Workers start a broker of their own.
        broker = None if name == LOCAL else stack.enter_context(run_broker(name))
        yield stack.enter_context(RUNNERS[runner](bundle, broker, tmp_path_factory.mktemp("journal")))


@pytest.mark.slow
class TestProcesses(Topics):
    """The part on topics: its sockets sit on one process after the other."""

    async def test_sockets_really_sit_on_different_processes(self, target: Spread) -> None:
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(open_script(target)) for _ in range(COUNT)]
            assert len({socket.headers[PROCESS] for socket in sockets}) == COUNT
