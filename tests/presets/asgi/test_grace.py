"""The limits of a stop: what is finished in the grace period, and what does not get more than that."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.bundles import PATIENCE, Server, build_project, run_bundle, write_files

GRACE = 4.0
# Longer than any test waits, in seconds: a process that ends nevertheless has not waited for it.
FOREVER = 3600
# What a stop of clients that are spread takes at least, in seconds, one in a hundred of a second.
MANY = 300
SPREAD = 0.99 * MANY / 100

PROJECT = {
    "nitro.toml": f"""
        experimental.websocket = true
        server.grace = {FOREVER}
        """,
    "handlers/plugins/journal.py": """
        import asyncio
        import os
        from collections.abc import AsyncIterator

        from nitro_py import define_plugin

        @define_plugin
        async def journal() -> AsyncIterator[None]:
            yield
            await asyncio.sleep(float(os.environ.get("PLUGIN", "0")))
            print("plugin stopped", flush=True)
        """,
    "handlers/sleep/[seconds].py": """
        import asyncio

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> str:
            print("asked", flush=True)
            await asyncio.sleep(float(event.params["seconds"]))
            print("answered", flush=True)
            return "rested"
        """,
    "handlers/block/[seconds].py": """
        import time

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> None:
            print("asked", flush=True)
            time.sleep(float(event.params["seconds"]))
        """,
    "handlers/chat.py": """
        import asyncio
        import time

        from nitro_py import CloseDetails, Peer, define_websocket_handler

        async def close(peer: Peer, details: CloseDetails) -> None:
            await asyncio.sleep(float(peer.request.query.get("rest", "0")))
            print("closed", details.code, flush=True)
            print("at", time.monotonic(), flush=True)

        handler = define_websocket_handler(close=close)
        """,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an app that can take its time."""
    return build_project(write_files(tmp_path_factory.mktemp("grace"), PROJECT))


@pytest.fixture
def server(bundle: Path) -> Iterator[Server]:
    """Run the bundle with a grace period that tests can wait for."""
    with run_bundle(bundle, environ={"NITRO_SERVER__GRACE": str(GRACE)}) as server:
        yield server


class Request(threading.Thread):
    """A request that goes on in a thread of its own."""

    def __init__(self, server: Server, path: str) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._path = path
        self.outcome: object = None
        self.start()
        wait_for_line(server, "asked")

    def run(self) -> None:
        """Ask, and keep what comes of it."""
        try:
            answer = httpx.get(self._server.url + self._path, timeout=PATIENCE)
        except httpx.TransportError as error:
            self.outcome = error
        else:
            self.outcome = answer.text


def wait_for_line(server: Server, line: str) -> None:
    """Wait until the server has printed a line."""
    deadline = time.monotonic() + PATIENCE
    while line not in server.read_log().splitlines():
        assert time.monotonic() < deadline, server.read_log()
        time.sleep(0.01)


def end(server: Server, *signals: signal.Signals, pause: float = 0.3) -> tuple[int, float]:
    """Send signals, and return the status that the process ends with and the seconds it takes from the last on.

    A process that waits for what takes for ever fails the test.
    """
    began = time.monotonic()
    for place, number in enumerate(signals):
        if place:
            time.sleep(pause)
        began = time.monotonic()
        server.process.send_signal(number)
    return server.process.wait(PATIENCE), time.monotonic() - began


def read_code(socket: ClientConnection) -> int | None:
    """Read a socket to its end, and return the close code."""
    for _ in socket:
        pass
    return socket.close_code


def test_request_under_way_is_answered(bundle: Path) -> None:
    with run_bundle(bundle) as server:
        request = Request(server, "/sleep/1")
        status, _ = end(server, signal.SIGTERM)
        request.join()
    assert (status, request.outcome) == (0, "rested")
    assert server.read_log().splitlines()[-1] != "answered"


def test_request_that_takes_too_long_is_cut_off(server: Server) -> None:
    request = Request(server, f"/sleep/{FOREVER}")
    status, _ = end(server, signal.SIGTERM)
    request.join()
    assert status == 0
    assert request.outcome != "rested"
    log = server.read_log()
    assert "Cut off 1 requests that were not answered when their time was over." in log
    assert "plugin stopped" in log


def test_hook_that_takes_too_long_is_left(server: Server) -> None:
    with (
        connect(f"{server.socket_url}/chat?rest={FOREVER}") as slow,
        connect(f"{server.socket_url}/chat") as quick,
    ):
        status, _ = end(server, signal.SIGTERM)
        assert (read_code(slow), read_code(quick)) == (1001, 1001)
    assert status == 0
    log = server.read_log()
    assert log.count("closed 1001") == 1
    assert "The hooks of 1 sockets did not end in the grace period and were cancelled." in log
    assert "plugin stopped" in log


@pytest.mark.slow
def test_plugin_that_takes_too_long_is_left(bundle: Path) -> None:
    with run_bundle(bundle, environ={"NITRO_SERVER__GRACE": str(GRACE), "PLUGIN": str(FOREVER)}) as server:
        status, _ = end(server, signal.SIGTERM)
    assert status == 0
    log = server.read_log()
    assert "The plugins had not stopped when their time was over." in log
    assert "plugin stopped" not in log


@pytest.mark.slow
def test_blocked_loop_is_ended_and_shown(server: Server) -> None:
    request = Request(server, f"/block/{FOREVER}")
    status, seconds = end(server, signal.SIGTERM)
    request.join()
    assert status == 1
    assert isinstance(request.outcome, httpx.TransportError)
    assert seconds > GRACE - 0.5
    # The place that holds up the stop.
    assert "block/[seconds].py" in server.read_log()


def hurry(bundle: Path, second: signal.Signals) -> tuple[int, str]:
    """End a server with many sockets by two signals, and return its status and its log."""
    with run_bundle(bundle) as server, ExitStack() as stack:
        sockets = [stack.enter_context(connect(f"{server.socket_url}/chat")) for _ in range(100)]
        request = Request(server, f"/sleep/{FOREVER}")
        status, _ = end(server, signal.SIGTERM, second)
        request.join()
        assert {read_code(socket) for socket in sockets} == {1001}
        return status, server.read_log()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_hurries(bundle: Path, second: signal.Signals) -> None:
    status, log = hurry(bundle, second)
    for _ in range(3):
        # The process is ended by force after two seconds, which a busy machine may need now and then.
        if status == 1 and "Timeout (" in log:
            status, log = hurry(bundle, second)
    assert status == 0
    # What is left of the time then is short for so many on a busy machine.
    late = sum(map(int, re.findall(r"The hooks of (\d+) sockets did not end in the grace period", log)))
    assert log.count("closed 1001") + late == 100
    assert "plugin stopped" in log


def time_goodbyes(bundle: Path) -> float:
    """End a server with many sockets by Ctrl-C, and return how long their hooks took altogether, in seconds."""
    with (
        run_bundle(bundle, environ={"NITRO_SERVER__DRAIN_DELAY": f"{FOREVER / 2:g}"}) as server,
        ExitStack() as stack,
    ):
        sockets = [stack.enter_context(connect(f"{server.socket_url}/chat")) for _ in range(MANY)]
        request = Request(server, "/sleep/1")
        status, _ = end(server, signal.SIGINT)
        request.join()
        assert {read_code(socket) for socket in sockets} == {1001}
    assert (status, request.outcome) == (0, "rested")
    times = [float(when) for when in re.findall(r"^at ([\d.]+)$", server.read_log(), re.MULTILINE)]
    assert len(times) == MANY
    return max(times) - min(times)


def test_ctrl_c_waits_for_requests_only(bundle: Path) -> None:
    # A machine that is busy takes as long now and then, goodbyes that are spread do always.
    assert any(time_goodbyes(bundle) < SPREAD for _ in range(4))


def test_server_without_clients_stops_at_once(bundle: Path) -> None:
    with run_bundle(bundle) as server:
        status, _ = end(server, signal.SIGTERM)
    assert status == 0
