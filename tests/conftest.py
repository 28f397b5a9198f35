"""What every test shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG

from tests.bundles import PATIENCE, build_project, copy_demo, run_bundle
from tests.capabilities import summarize_skips
from tests.order import FixtureScheduling, put_slow_groups_first

# A client that says nothing else waits for so long: the 5 s of `httpx` pass on a machine that is busy.
vars(DEFAULT_TIMEOUT_CONFIG).update(httpx.Timeout(PATIENCE).as_dict())


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FixtureScheduling:
    """Share the tests between processes by their fixtures."""
    return FixtureScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put slow tests first where processes share them; otherwise the order is that of the files."""
    if hasattr(config, "workerinput"):
        put_slow_groups_first(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write one line for each reason to skip tests."""
    for line in summarize_skips(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run every `anyio` test on asyncio, the one loop that nitropy-kit serves on."""
    return "asyncio"


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the repository's own handlers, and return the output folder."""
    return build_project(copy_demo(tmp_path_factory.mktemp("demo")))


@pytest.fixture(scope="session")
def demo_server(demo_bundle: Path) -> Iterator[str]:
    """Run the bundle of the repository's own handlers, and return its URL."""
    with run_bundle(demo_bundle) as server:
        yield server.url
