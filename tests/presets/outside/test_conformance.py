"""The preset from outside keeps the contract: the suite's app on the server that it builds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nitro_py.testing.conformance import APP, JOURNAL, ServerTarget
from nitro_py.testing.conformance.suite import Conformance
from tests.bundles import run_bundle
from tests.cli.commands import succeed

# The preset names no place for storages: the one process keeps them.
MEMORY = {"NITRO_STORAGE__DEFAULT__DRIVER": "memory", "NITRO_STORAGE__OTHER__DRIVER": "memory"}


@pytest.fixture(scope="module")
def target(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerTarget]:
    """Build the suite's app, and run it where the preset is not installed."""
    root = tmp_path_factory.mktemp("suite") / "app"
    shutil.copytree(APP, root, ignore=shutil.ignore_patterns("__pycache__"))
    succeed(root, "build", "--preset", "cloud-run", environ={"PYTHONPATH": str(site)})
    journal = tmp_path_factory.mktemp("journal")
    arguments = ("--host", "127.0.0.1", "--port", "0")
    with run_bundle(root / ".output", *arguments, environ={JOURNAL: str(journal), **MEMORY}) as server:
        yield ServerTarget(server.url)
        server.stop()


class TestOutside(Conformance):
    """The whole suite: the preset declares every capability."""
