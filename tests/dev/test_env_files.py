"""`.env` files in `nitropy dev`: a change of them is a restart with the new values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.bundles import Server, write_files
from tests.cli.commands import serve_project
from tests.dev.pages import wait_for

SHOW = """
    import os

    from nitro_py import Event, define_handler

    AT_IMPORT = os.environ.get("A")


    @define_handler
    async def handler(event: Event) -> list[str | None]:
        return [AT_IMPORT, *(os.environ.get(name) for name in ("A", "B", "SET"))]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a project with both files and return its folder."""
    files = {"handlers/show.get.py": SHOW, ".env": "A=1\nB=1\nSET=file\n", ".env.local": "B=local\n"}
    return write_files(tmp_path / "project", files)


@pytest.fixture
def dev(root: Path) -> Iterator[Server]:
    """Serve the project, from when its app is there."""
    with serve_project(root, "dev", "--port", "0", environ={"SET": "environment"}) as server:
        wait_for(lambda: "Ready in" in server.read_log())
        yield server


def show(server: Server) -> object:
    """Ask the app what it finds in its environment."""
    return httpx.get(f"{server.url}/show").json()


def test_change_is_a_restart_with_the_new_values(root: Path, dev: Server) -> None:
    assert show(dev) == ["1", "1", "local", "environment"]
    write_files(root, {".env": "A=2\nB=2\nSET=file\n"})
    wait_for(lambda: show(dev) == ["2", "2", "local", "environment"])
    wait_for(lambda: "Reloaded .env in " in dev.read_log())
    (root / ".env.local").unlink()
    wait_for(lambda: show(dev) == ["2", "2", "2", "environment"])
    # What is removed from a file is removed from the app.
    write_files(root, {".env": "B=2\n"})
    wait_for(lambda: show(dev) == [None, None, "2", "environment"])


def test_wrong_line_leaves_the_app_running(root: Path, dev: Server) -> None:
    write_files(root, {".env": "A=3\n\nwrong line\n"})
    wait_for(lambda: "at .env:3" in dev.read_log())
    assert show(dev) == ["1", "1", "local", "environment"]
    write_files(root, {".env": "A=${NOTHING}\n"})
    wait_for(lambda: show(dev) == ["", "", "local", "environment"])
    said = "warning: .env:1 names `${NOTHING}`, which nothing above it sets: replaced by nothing.\n"
    assert dev.read_log().count(said) == 1
