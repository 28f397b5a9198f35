"""The suite's app, built and running."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from nitro_py.build.config.load import load_config
from nitro_py.build.pipeline import choose_preset, plan_build, write_plan
from nitro_py.capabilities import Mode
from nitro_py.testing.conformance import APP, JOURNAL, ServerTarget
from tests.bundles import Server, run_bundle


def build_suite(
    folder: Path,
    *,
    mode: Mode = "production",
    environ: Mapping[str, str] | None = None,
    prepare: Callable[[Path], None] = lambda project: None,
) -> Path:
    """Build the suite's app in a new folder, with settings from an environment, and return the output folder."""
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns("__pycache__"))
    prepare(folder)
    loaded = load_config(folder, mode=mode, overrides={}, environ=environ or {})
    plan = plan_build(loaded, choose_preset(loaded, {}))
    write_plan(plan)
    return plan.output


@pytest.fixture(scope="session")
def suite_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the suite's app, and return the output folder."""
    return build_suite(tmp_path_factory.mktemp("suite") / "app")


@pytest.fixture(scope="session")
def suite_server(suite_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerTarget]:
    """Run the suite's app, built for `asgi`, on its own server."""
    journal = tmp_path_factory.mktemp("journal")
    with run_bundle(suite_bundle, environ={JOURNAL: str(journal)}) as server:
        yield ServerTarget(server.url)
        server.stop()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Name the folder that a test's own server writes its journals into."""
    folder = tmp_path / "journal"
    folder.mkdir()
    return folder


@pytest.fixture
def own_server(suite_bundle: Path, journal: Path) -> Iterator[Server]:
    """Run the suite's app for one test only, whose stop must not wait for the end of its time."""
    environ = {JOURNAL: str(journal), "NITRO_SERVER__GRACE": "3600"}
    with run_bundle(suite_bundle, environ=environ) as server:
        yield server
