"""The parent of the workers, as a container's first process, lets go of the dead below it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.bundles import PATIENCE, Server, build_project, run_bundle, write_files
from tests.presets.asgi.test_workers import PID, find_workers, until
from tests.process_states import find_parent, list_children, read_state

PROJECT = {
    "handlers/pid.get.py": PID,
    "handlers/family.post.py": """
        import os
        import subprocess

        from nitro_py import Event, define_handler

        @define_handler
        def handler(event: Event) -> list[int]:
            command = ["sleep", event.query["seconds"]]
            return [os.getpid(), *(subprocess.Popen(command).pid for _ in range(5))]
        """,
}
# A container's first process gets every orphan; a subreaper gets those below it (prctl(2), 36), and stays one
# when it runs another program.
SUBREAPER = """
import ctypes, os, sys
assert ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an app whose handlers start processes."""
    return build_project(write_files(tmp_path_factory.mktemp("orphans"), PROJECT))


@pytest.fixture
def server(bundle: Path) -> Iterator[Server]:
    """Run the bundle's workers below a parent that inherits what they leave behind."""
    python = (sys.executable, "-c", SUBREAPER)
    with run_bundle(bundle, "--port", "0", "--workers", "2", python=python) as server:
        yield server


def start_family(server: Server, seconds: float) -> tuple[int, list[int]]:
    """Let a worker start processes that last for a while, and return its id and theirs."""
    answer = httpx.post(f"{server.url}/family", params={"seconds": seconds}, timeout=PATIENCE)
    worker, *children = answer.json()
    return worker, children


def list_zombies(parent: int) -> list[int]:
    """List the children of a process that have ended, and that it has not looked at."""
    return [pid for pid in list_children(parent) if read_state(pid) == "Z"]


def all_gone(pids: Iterable[int]) -> bool:
    """Return whether nothing is left of some processes."""
    return all(read_state(pid) is None for pid in pids)


def test_orphans_that_end_later_are_reaped(server: Server) -> None:
    worker, children = start_family(server, 60)
    os.kill(worker, signal.SIGKILL)
    until(lambda: all(find_parent(pid) == server.process.pid for pid in children))
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    until(lambda: all_gone(children))
    assert len(find_workers(server, 2) - {worker}) == 2
    assert f"Worker {worker} ended with status -9; another takes its place" in server.read_log()
    server.process.terminate()
    assert server.process.wait(PATIENCE) == 0


@pytest.mark.slow
def test_workers_keep_their_status_among_orphans(server: Server) -> None:
    for _ in range(4):
        worker, children = start_family(server, 60)
        # Some are orphans before the parent hears of the worker, and some end after that.
        for pid in (*children[:2], worker, *children[2:]):
            os.kill(pid, signal.SIGKILL)
        until(lambda worker=worker: f"Worker {worker} ended with status -9;" in server.read_log())  # type: ignore[misc]
        find_workers(server, 2)
        until(lambda children=children: all_gone(children))  # type: ignore[misc]
        until(lambda: list_zombies(server.process.pid) == [])
    server.process.terminate()
    assert server.process.wait(PATIENCE) == 0
