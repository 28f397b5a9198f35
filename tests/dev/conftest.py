"""What the tests of the dev server share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import Server
from tests.cli.commands import make_project, serve_project
from tests.dev.pages import wait_for
from tests.ports import find_port


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a project and return its folder."""
    return make_project(tmp_path / "project")


@pytest.fixture
def dev(root: Path) -> Iterator[Server]:
    """Serve the project, from when its app is there."""
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        yield server


@pytest.fixture
def unused_port() -> int:
    """Return a port that no process listens on right now."""
    return find_port()
