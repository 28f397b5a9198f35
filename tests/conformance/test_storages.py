"""Storages keep the contract in one process, in four workers, and on replicas with Redis and with Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nitro_py.testing.conformance import JOURNAL
from nitro_py.testing.conformance.suite.storages import Storages
from tests.brokers.postgres import run_postgres
from tests.brokers.processes import run_broker
from tests.bundles import run_bundle
from tests.conformance.conftest import build_suite
from tests.conformance.processes import Replicas, Spread, run_workers

SETTING = '\n[storage.default]\ndriver = "{0}"\n[storage.other]\ndriver = "{0}"\n'


def add_driver(project: Path, driver: str) -> None:
    """Name the driver of the suite's storages."""
    with (project / "nitro.toml").open("a", encoding="utf-8") as file:
        file.write(SETTING.format(driver))


@pytest.fixture(scope="module", params=["workers", "redis", "postgres"])
def target(
    request: pytest.FixtureRequest, suite_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Spread]:
    """Run four workers that share a file, or two servers of the preset `container` with a store."""
    driver = request.param
    folder = tmp_path_factory.mktemp("suite")
    with ExitStack() as stack:
        if driver == "workers":
            yield stack.enter_context(run_workers(suite_bundle, None, folder))
            return
        output = build_suite(
            folder / "app",
            environ={"NITRO_PRESET": "container"},
            prepare=lambda project: add_driver(project, driver),
        )
        url = (
            stack.enter_context(run_broker("redis")).url
            if driver == "redis"
            else stack.enter_context(run_postgres()).url
        )
        environ = {
            JOURNAL: str(folder),
            "NITRO_STORAGE__DEFAULT__URL": url,
            "NITRO_STORAGE__OTHER__URL": url,
        }
        servers = [stack.enter_context(run_bundle(output, environ=environ)) for _ in range(2)]
        yield Replicas([server.url for server in servers])
        for server in servers:
            server.stop()


@pytest.mark.slow
class TestStorages(Storages):
    """The part on storages, whose requests are spread over processes."""
