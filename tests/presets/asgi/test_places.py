"""The working folder and `sys.path[0]` of a bundle are its own folder, wherever it is started from."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bundles import build_project, run_bundle, run_server, write_files
from tests.cli.commands import serve_project
from tests.dev.pages import wait_for

WHERE = """
import os, sys
from pathlib import Path
from nitro_py import define_handler

AT_IMPORT = Path("data/a.txt").read_text()

@define_handler
def handler(event):
    return {"cwd": os.getcwd(), "path": sys.path[0], "text": Path("data/a.txt").read_text() + AT_IMPORT}
"""
FILES = {"handlers/where.py": WHERE, "data/a.txt": "x", "nitro.toml": 'include = ["data/**"]\n'}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a project."""
    return write_files(tmp_path / "project", FILES)


def ask(url: str) -> dict[str, Any]:
    """Ask the app where it is."""
    answer: dict[str, Any] = httpx.get(f"{url}/where").json()
    return answer


def expected(server: Path) -> dict[str, str]:
    """Return what the app of a bundle's folder says."""
    return {"cwd": str(server), "path": str(server), "text": "xx"}


def test_bundle_anywhere(root: Path, tmp_path: Path) -> None:
    output = build_project(root)
    moved = tmp_path / "image/app"
    shutil.copytree(output, moved)
    for cwd in (Path("/"), moved):
        with run_bundle(moved, cwd=cwd) as server:
            assert ask(server.url) == expected(moved / "server")


def test_bundle_by_a_relative_path_with_workers(root: Path) -> None:
    build_project(root)
    command = [sys.executable, ".output/server", "--port", "0", "--workers", "2"]
    with run_server(command, log=root.parent / "workers.log", cwd=root) as server:
        assert ask(server.url) == expected(root / ".output/server")


def test_another_server(root: Path) -> None:
    build_project(root)
    command = [sys.executable, "-m", "uvicorn", "--app-dir", ".output/server", "--port", "0", "nitro_server:app"]
    log = root.parent / "uvicorn.log"
    with run_server(command, log=log, cwd=root, announcement="Uvicorn running on ") as server:
        assert ask(server.url) == expected(root / ".output/server")


def test_preview(root: Path) -> None:
    build_project(root)
    with serve_project(root, "preview", "--port", "0") as server:
        assert ask(server.url) == expected(root / ".output/server")


def test_dev(root: Path) -> None:
    with serve_project(root, "dev", "--port", "0") as server:
        found = ask(server.url)
        assert found == expected(Path(found["cwd"]))
        assert Path(found["cwd"]).is_relative_to(root / ".nitro/dev")
        # The next app has another folder, so that of the old one stays until it has ended.
        write_files(root, {"handlers/where.py": WHERE + "\n"})
        first = found["cwd"]
        wait_for(lambda: ask(server.url)["cwd"] != first)
        found = ask(server.url)
        assert found == expected(Path(found["cwd"]))
