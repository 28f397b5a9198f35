"""Code that blocks the event loop: it is named, and a worker that never answers again is replaced."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.bundles import PATIENCE, Server, build_project, run_bundle, write_files

PROJECT = {
    "nitro.toml": "experimental.websocket = true\n",
    "handlers/block/[seconds].get.py": """
        import time

        from nitro_py import Event, define_handler

        from .._work import work

        @define_handler
        async def handler(event: Event) -> str:
            work(float(event.params["seconds"]))
            return "done"
        """,
    "handlers/_work.py": """
        import time

        def work(seconds: float) -> None:
            time.sleep(seconds)
        """,
    "handlers/plain.get.py": """
        import time

        from nitro_py import Event, define_handler

        @define_handler
        def handler(event: Event) -> str:
            time.sleep(1)
            return "done"
        """,
    "handlers/debug.get.py": """
        import sys
        import time

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> str:
            # As a debugger does with the frame that it stops in.
            sys._getframe().f_trace = lambda *arguments: None
            time.sleep(6)
            return "done"
        """,
    "handlers/pid.get.py": """
        import os

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> int:
            return os.getpid()
        """,
}
SOCKET = {
    "handlers/chat.py": """
        import time

        from nitro_py import Message, Peer, define_websocket_handler

        async def message(peer: Peer, message: Message) -> None:
            time.sleep(3)
            await peer.send("done")

        handler = define_websocket_handler(message=message)
        """,
}


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def read_warnings(server: Server) -> list[str]:
    """Return the lines about a blocked event loop."""
    return [line for line in server.read_log().splitlines() if "event loop was blocked" in line]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the app with a socket."""
    return build_project(write_files(tmp_path_factory.mktemp("watchdog"), {**PROJECT, **SOCKET}))


def test_route_that_blocks_is_named_once(bundle: Path) -> None:
    with run_bundle(bundle, environ={"NITRO_SERVER__BLOCK_WARNING": "0.3"}) as server:
        httpx.get(f"{server.url}/plain", timeout=PATIENCE)
        assert read_warnings(server) == []
        for _ in range(2):
            assert httpx.get(f"{server.url}/block/2.0", timeout=PATIENCE).text == "done"
        (line,) = read_warnings(server)
        assert "for more than 0.3 s by the route `/block/[seconds]`, at handlers/_work.py:4, in `work`" in line
        server.stop()


def test_hook_that_blocks_is_named(bundle: Path) -> None:
    with run_bundle(bundle, environ={"NITRO_SERVER__BLOCK_WARNING": "0.3"}) as server:
        with connect(f"{server.socket_url}/chat") as client:
            client.send("x")
            assert client.recv(timeout=PATIENCE) == "done"
        (line,) = read_warnings(server)
        assert "by the route `/chat`, at handlers/chat.py:6, in `message`" in line


def test_no_limit_warns_of_nothing(bundle: Path) -> None:
    with run_bundle(bundle, environ={"NITRO_SERVER__BLOCK_WARNING": "0"}) as server:
        httpx.get(f"{server.url}/block/1.5", timeout=PATIENCE)
        assert read_warnings(server) == []


@pytest.fixture(scope="module")
def workers_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the app without a socket, which needs no backplane."""
    return build_project(write_files(tmp_path_factory.mktemp("workers"), PROJECT))


def read_pids(server: Server) -> set[int]:
    """Ask which processes answer."""
    return {httpx.get(f"{server.url}/pid", timeout=PATIENCE).json() for _ in range(20)}


def ask_in_vain(server: Server, path: str) -> None:
    """Ask for what is not answered in time, or ever."""
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.url}{path}", timeout=PATIENCE)


def test_worker_that_does_not_answer_is_replaced(workers_bundle: Path) -> None:
    environ = {"NITRO_SERVER__STUCK_TIMEOUT": "5"}
    with run_bundle(workers_bundle, "--port", "0", "--workers", "2", environ=environ) as server:
        time.sleep(1)
        ask_in_vain(server, "/block/600")
        wait_for(lambda: "another takes its place" in server.read_log(), "the worker is replaced")
        assert server.read_log().count("has not answered for 5 s (`server.stuck_timeout`), and is killed") == 1
        # A signal ends a worker that has not started yet with a status of its own.
        wait_for(lambda: server.read_log().count("Application startup complete") >= 3, "the next one has started")
        wait_for(lambda: len(read_pids(server)) == 2, "both answer")
        server.stop()


@pytest.mark.parametrize(("path", "timeout"), [("/block/4", "0"), ("/debug", "3")], ids=["never", "debugger"])
def test_worker_is_left_alone(workers_bundle: Path, path: str, timeout: str) -> None:
    environ = {"NITRO_SERVER__STUCK_TIMEOUT": timeout}
    with run_bundle(workers_bundle, "--port", "0", "--workers", "2", environ=environ) as server:
        time.sleep(1)
        assert httpx.get(f"{server.url}{path}", timeout=PATIENCE).text == "done"
        assert "has not answered" not in server.read_log()
        server.stop()


def test_pause_of_all_processes_is_nobodys_fault(workers_bundle: Path) -> None:
    environ = {"NITRO_SERVER__STUCK_TIMEOUT": "3", "NITRO_SERVER__BLOCK_WARNING": "0.5"}
    with run_bundle(workers_bundle, "--port", "0", "--workers", "2", environ=environ) as server:
        time.sleep(2)
        pids = [server.process.pid, *read_pids(server)]
        # As a laptop that sleeps, or a container that is paused.
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in pids:
                os.kill(pid, number)
            time.sleep(5)
        assert "has not answered" not in server.read_log()
        assert read_warnings(server) == []
        server.stop()
