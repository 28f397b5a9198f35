"""Each name of uvicorn that is no part of its documented API, and what happens without one."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

from nitro_py.server import uvicorn_internals
from nitro_py.server.http.protocol import HttpProtocol
from nitro_py.server.uvicorn_internals import (
    CONFIG_NAMES,
    METHOD_NAMES,
    RUNNING_NAMES,
    SERVER_NAMES,
    STATE_NAMES,
    find_missing,
    load_apps,
    make_websocket,
)
from nitro_py.server.websocket.protocol import WebSocketProtocol
from tests.bundles import build_project, run_server, write_files
from tests.checkout import ROOT, list_files

# How long a server may take to start or to stop, in seconds.
PATIENCE = 20.0
# What uvicorn documents, and what others may so import: the configuration, and that of logging.
DOCUMENTED = {"from uvicorn import Config", "from uvicorn.config import LOGGING_CONFIG"}
DOCUMENTED |= {"from uvicorn.logging import DefaultFormatter"}
GATHERED = {"nitro_py/server/uvicorn_internals.py", "nitro_py/server/uvicorn_server.py"}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Do nothing."""


def make_server() -> uvicorn.Server:
    """Return a server whose configuration is loaded."""
    config = uvicorn.Config(app, http=HttpProtocol, ws=WebSocketProtocol, lifespan="off", log_config=None)
    config.load()
    return uvicorn.Server(config)


@pytest.mark.parametrize("name", CONFIG_NAMES)
def test_configuration_has(name: str) -> None:
    assert hasattr(make_server().config, name)


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_server_has_method(name: str) -> None:
    assert callable(getattr(uvicorn.Server, name))


@pytest.mark.parametrize("name", SERVER_NAMES)
def test_server_has(name: str) -> None:
    assert hasattr(make_server(), name)


@pytest.mark.parametrize("name", STATE_NAMES)
def test_state_has(name: str) -> None:
    assert hasattr(ServerState(), name)


@pytest.mark.anyio
async def test_running_server_has_the_rest() -> None:
    server = make_server()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server._serve([listener]))
        async with asyncio.timeout(PATIENCE):
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            assert [name for name in RUNNING_NAMES if not hasattr(server, name)] == []
            assert isinstance(server.lifespan.state, dict)
            server.should_exit = True
            await running


@pytest.mark.parametrize("proxied", [False, True])
def test_application_is_found_below_the_middleware_of_proxies(proxied: bool) -> None:
    direct, wrapped = load_apps(uvicorn.Config(app, proxy_headers=proxied, log_config=None))
    assert (direct, wrapped is app) == (app, not proxied)


@pytest.mark.anyio
async def test_protocol_of_websockets_is_made_as_configured() -> None:
    server = make_server()
    assert isinstance(make_websocket(server.config, server.server_state, {}), WebSocketProtocol)


def test_nothing_is_missing_in_this_release() -> None:
    assert find_missing(make_server()) == []


def test_missing_names_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    server = make_server()
    monkeypatch.delattr(uvicorn.Server, "on_tick")
    monkeypatch.delattr(server.config, "loaded_app")
    monkeypatch.delattr(server.server_state, "tasks")
    monkeypatch.setattr(uvicorn_internals, "ProxyHeadersMiddleware", None)
    expected = ["Config.loaded_app", "ProxyHeadersMiddleware", "Server.on_tick", "ServerState.tasks"]
    assert find_missing(server) == expected


def test_no_other_file_names_what_is_not_documented() -> None:
    found = [
        f"{file}: {line}"
        for file in list_files("nitro_py/*.py")
        if file.as_posix() not in GATHERED
        for line in (ROOT / file).read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(from|import) uvicorn\b", line) and line.strip() not in DOCUMENTED
    ]
    assert found == []


PROJECT = {
    "handlers/hello.get.py": """
        from nitro_py import define_handler

        @define_handler
        def handler(event):
            return {"hello": "world"}
        """,
    "handlers/plugins/mark.py": """
        from nitro_py import define_plugin

        @define_plugin
        async def plugin():
            yield
            print("The plugin has stopped.", flush=True)
        """,
}
# Runs a bundle on a release of uvicorn that calls one of its methods by another name.
OTHER_RELEASE = """
import asyncio, runpy, sys, uvicorn

async def main_loop(self):
    while not await self.tick():
        await asyncio.sleep(0.01)

async def tick(self):
    return self.should_exit

del uvicorn.Server.on_tick
uvicorn.Server.main_loop, uvicorn.Server.tick = main_loop, tick
sys.argv = [sys.argv[1], "--port", "0"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_release_that_lacks_a_name_serves_by_the_documented_api(tmp_path: Path) -> None:
    write_files(tmp_path, PROJECT)
    bundle = build_project(tmp_path) / "server"
    with run_server([sys.executable, "-c", OTHER_RELEASE, bundle], log=tmp_path / "log") as server:
        answer = httpx.get(f"{server.url}/hello", timeout=PATIENCE)
        assert (answer.status_code, answer.json()) == (200, {"hello": "world"})
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
        log = server.log.read_text()
    assert log.count("lacks `Server.on_tick`") == 1
    assert "The plugin has stopped." in log
