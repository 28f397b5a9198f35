"""What every test shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import build_project, copy_demo, run_bundle


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
