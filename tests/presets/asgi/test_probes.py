"""What a platform asks a running bundle: whether it lives, and whether it may get clients."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.bundles import PATIENCE, Server, build_project, run_bundle, run_refused, run_server, write_files

# How long the server of these tests accepts after SIGTERM, in seconds: one that is told again ends sooner.
DELAY, LONG_DELAY = 1.5, 60.0

PROJECT = {
    "nitro.toml": """
        experimental.websocket = true
        server.grace = 6.0
        """,
    "handlers/plugins/slow.py": """
        import asyncio
        import os
        from collections.abc import AsyncIterator

        from nitro_py import define_plugin

        @define_plugin
        async def slow() -> AsyncIterator[None]:
            while not os.path.exists(os.environ.get("GATE", "/")):
                await asyncio.sleep(0.01)
            yield
        """,
    "handlers/hello.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> str:
            return "hello"
        """,
    "handlers/chat.py": """
        from nitro_py import define_websocket_handler

        handler = define_websocket_handler()
        """,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an app whose start waits for a file if one is named."""
    return build_project(write_files(tmp_path_factory.mktemp("probes"), PROJECT))


@pytest.fixture
def server(bundle: Path) -> Iterator[Server]:
    """Run the bundle, which goes on accepting for a while when it is told to stop."""
    with run_bundle(bundle, environ={"NITRO_SERVER__DRAIN_DELAY": str(DELAY)}) as server:
        yield server


def ask(server: Server, name: str) -> tuple[int, object]:
    """Ask one of the probes."""
    answer = httpx.get(f"{server.url}/_nitro/{name}")
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, answer.json()


def wait_for(check: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_running_app_is_live_ready_and_well(server: Server) -> None:
    assert ask(server, "live") == (200, {"status": "live"})
    assert ask(server, "ready") == (200, {"status": "ready"})
    assert ask(server, "health") == (200, {"status": "ok"})
    assert httpx.head(f"{server.url}/_nitro/ready").status_code == 200
    assert httpx.get(f"{server.url}/_nitro/other").status_code == 404
    server.stop()
    # A line for each, every few seconds, would hide the others.
    assert re.findall(r"/_nitro/\w+", server.read_log()) == ["/_nitro/other"]


def test_stopping_app_is_not_ready_and_still_answers(bundle: Path) -> None:
    environ = {"NITRO_SERVER__DRAIN_DELAY": str(LONG_DELAY), "NITRO_SERVER__GRACE": str(2 * LONG_DELAY)}
    with run_bundle(bundle, environ=environ) as server:
        check_stopping(server)


def check_stopping(server: Server) -> None:
    """Stop a server, and check what it answers meanwhile."""
    with httpx.Client(base_url=server.url) as kept:
        assert "connection" not in kept.get("/hello").headers
        server.process.send_signal(signal.SIGTERM)
        stopping = (503, {"status": "stopping", "reason": "The server stops."})
        wait_for(lambda: ask(server, "ready") == stopping)
        assert ask(server, "live") == (200, {"status": "live"})
        assert ask(server, "health") == stopping
        answer = kept.get("/hello")
        assert (answer.text, answer.headers["connection"]) == ("hello", "close")
    with pytest.raises(InvalidStatus) as caught, connect(f"{server.socket_url}/chat"):
        pass
    assert caught.value.response.status_code == 503
    server.stop()
    log = server.read_log()
    assert "Traceback" not in log
    # Of the probes, the access log has those that went wrong.
    assert '"GET /_nitro/ready HTTP/1.1" 503' in log
    assert '"GET /_nitro/live' not in log
    assert '"GET /hello HTTP/1.1" 200' in log


def test_app_that_starts_is_live_and_not_ready(bundle: Path, tmp_path: Path) -> None:
    # A server that does not speak the lifespan protocol: the first question is what starts the app.
    code = "import uvicorn; uvicorn.run('nitro_server:app', port=0, lifespan='off')"
    command = [sys.executable, "-c", code]
    gate = tmp_path / "gate"
    environ = {"PYTHONPATH": str(bundle / "server"), "GATE": str(gate)}
    log = bundle.with_name("other.log")
    with run_server(command, log=log, environ=environ, announcement="running on ") as server:
        assert ask(server, "live") == (200, {"status": "live"})
        starting = (503, {"status": "starting", "reason": "The plugins have not started."})
        assert ask(server, "ready") == starting
        gate.touch()
        wait_for(lambda: ask(server, "ready") == (200, {"status": "ready"}))
        assert httpx.get(f"{server.url}/hello").text == "hello"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NITRO_SERVER__GRACE", "soon", "expected seconds above 0, got `soon`"),
        ("NITRO_SERVER__GRACE", "0", "expected seconds above 0, got `0`"),
        ("NITRO_SERVER__DRAIN_DELAY", "-1", "expected seconds, 0 or more, got `-1`"),
        ("NITRO_SERVER__DRAIN_DELAY", "inf", "expected seconds, 0 or more, got `inf`"),
        ("NITRO_SERVER__MAX_CONNECTIONS", "many", "expected a whole number, 0 or more, got `many`"),
        ("NITRO_METRICS", "yes", "expected `true` or `false`, got `yes`"),
        ("NITRO_LOG", "xml", "expected one of `json`, `text`, got `xml`"),
        ("NITRO_LOG__FORMAT", "xml", "expected one of `json`, `text`, got `xml`"),
        ("NITRO_LOG__LEVEL", "INFO", "expected one of `debug`, `error`, `info`, `warning`, got `INFO`"),
        ("NITRO_LOG__LEVELS__SHOP", "on", "expected one of `debug`, `error`, `info`, `warning`, got `on`"),
    ],
)
def test_wrong_variable_of_a_running_bundle(bundle: Path, name: str, value: str, message: str) -> None:
    assert run_refused(bundle, environ={name: value}) == (
        f"error: Wrong value for `{name}` in the environment: {message}.\n"
        "  hint: Correct the variable, or unset it to keep what the bundle was built with.\n"
    )


def test_delay_that_leaves_no_time_to_stop(bundle: Path) -> None:
    assert run_refused(bundle, environ={"NITRO_SERVER__DRAIN_DELAY": "6"}) == (
        "error: `server.drain_delay` leaves no time to stop: expected less than `server.grace`, 6, got 6.\n"
        "  hint: Shorten `NITRO_SERVER__DRAIN_DELAY`, or lengthen `NITRO_SERVER__GRACE`.\n"
    )
