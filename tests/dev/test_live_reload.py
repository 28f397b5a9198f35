"""The live-reload socket is open to the dev server's own pages only."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from nitro_py.dev.live_reload import LiveReload, ReloadGuard
from nitro_py.event import ASGIMessage
from tests.bundles import Server, write_files
from tests.cli.commands import HELLO, make_project, serve_project
from tests.dev.pages import PATIENCE, find_live_reload, hear, open_live_reload, wait_for

SHARED = """
    [experimental]
    websocket = true

    [dev.hmr]
    path = "/live"
"""


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a project whose live reload has a port of its own."""
    root = make_project(tmp_path_factory.mktemp("dev") / "project")
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        yield server


@pytest.fixture(scope="module")
def live_reload(dev: Server) -> str:
    """Return the URL of the socket as a page knows it."""
    return find_live_reload(httpx.get(dev.url).text)


def refuse(url: str, origin: str | None) -> int:
    """Check that a handshake is refused, and return the status."""
    with pytest.raises(InvalidStatus) as caught, connect(url, origin=Origin(origin) if origin else None):
        pass
    return caught.value.response.status_code


def test_pages_by_every_name_of_this_machine_may_open_it(dev: Server, live_reload: str) -> None:
    port = httpx.URL(dev.url).port
    for host in ("127.0.0.1", "localhost", "[::1]"):
        with connect(live_reload, origin=Origin(f"http://{host}:{port}")) as socket:
            socket.ping().wait(PATIENCE)


def test_page_of_another_site_may_not(dev: Server, live_reload: str) -> None:
    port = httpx.URL(dev.url).port
    for origin in (f"http://evil.test:{port}", "http://127.0.0.1:1", "http://localhost", "null", None):
        assert refuse(live_reload, origin) == 403
    assert "Refused a live-reload socket to a page from 'null'." in dev.read_log()


def test_nobody_may_without_the_token(dev: Server, live_reload: str) -> None:
    place = live_reload.partition("?")[0]
    for query in ("", "?token=", "?token=wrong", f"?{live_reload.partition('?token=')[2]}"):
        assert refuse(place + query, dev.url) == 403


def test_it_has_one_path_only(dev: Server, live_reload: str) -> None:
    assert refuse(live_reload.replace("/?", "/other?"), dev.url) == 403
    assert httpx.get(live_reload.replace("ws", "http", 1)).status_code == 404


def test_it_has_a_port_of_its_own(dev: Server, live_reload: str) -> None:
    assert httpx.URL(live_reload).port != httpx.URL(dev.url).port
    token = live_reload.partition("?")[2]
    assert refuse(f"{dev.socket_url}/?{token}", dev.url) == 404


def test_it_may_share_the_port_of_the_app(tmp_path: Path, unused_port: int) -> None:
    root = make_project(tmp_path / "project", {"nitro.toml": SHARED})
    arguments = ["--port", str(unused_port), "--hmr-port", str(unused_port)]
    with serve_project(root, "dev", *arguments) as server:
        wait_for(lambda: "Ready in" in server.read_log())
        page = httpx.get(server.url)
        assert find_live_reload(page.text).startswith(f"{server.socket_url}/live?token=")
        assert refuse(find_live_reload(page.text), "http://evil.test") == 403
        with open_live_reload(page, server.url) as socket, connect(f"{server.socket_url}/api/chat") as chat:
            assert chat.recv(PATIENCE) == "welcome"
            write_files(root, {"handlers/api/hello.get.py": "def"})
            assert hear(socket)["type"] == "error"
            write_files(root, {"handlers/api/hello.get.py": HELLO})
            assert hear(socket) == {"type": "reload"}
            write_files(root, {"handlers/api/hello.get.py": HELLO.replace("hello", "changed")})
            # With the app its socket goes, and that is what its pages reload at.
            with pytest.raises(ConnectionClosed):
                socket.recv(PATIENCE)
        assert httpx.get(f"{server.url}/api/hello").json() == {"message": "changed"}
        with open_live_reload(httpx.get(server.url), server.url) as socket:
            socket.ping().wait(PATIENCE)


@pytest.mark.parametrize("shared", [False, True])
def test_page_whose_script_connects_after_a_reload_is_reloaded(
    tmp_path: Path, unused_port: int, shared: bool
) -> None:
    root = make_project(tmp_path / "project", {"nitro.toml": SHARED} if shared else {})
    arguments = ["--port", str(unused_port), "--hmr-port", str(unused_port)] if shared else ["--port", "0"]
    with serve_project(root, "dev", *arguments) as server:
        wait_for(lambda: "Ready in" in server.read_log())
        page = httpx.get(server.url)
        write_files(root, {"handlers/api/hello.get.py": HELLO.replace("hello", "changed")})
        wait_for(lambda: "Reloaded" in server.read_log())
        with open_live_reload(page, server.url) as socket:
            assert hear(socket) == {"type": "reload"}
        with open_live_reload(httpx.get(server.url), server.url) as socket:
            write_files(root, {"handlers/api/hello.get.py": "def"})
            # Nothing came before it.
            assert hear(socket)["type"] == "error"


@pytest.mark.anyio
async def test_failure_from_before_a_page_connected_is_late_whenever_it_is_told() -> None:
    live_reload = LiveReload(ReloadGuard("127.0.0.1", 3000, "/", "secret"))
    headers = [(b"host", b"127.0.0.1:3001"), (b"origin", b"http://127.0.0.1:3000")]
    sent: asyncio.Queue[ASGIMessage] = asyncio.Queue()
    coming: asyncio.Queue[ASGIMessage] = asyncio.Queue()
    coming.put_nowait({"type": "websocket.connect"})
    scope = {"type": "websocket", "path": "/", "query_string": b"token=secret&app=0", "headers": headers}
    before = time.time() * 1000
    page = asyncio.create_task(live_reload(scope, coming.get, sent.put))
    assert (await sent.get())["type"] == "websocket.accept"
    for at, late in ((before - 1, "yes"), (time.time() * 1000 + 1, None)):
        await live_reload.announce({"type": "failure", "message": "no", "html": "", "at": str(at)})
        assert json.loads((await sent.get())["text"]).get("late") == late
    coming.put_nowait({"type": "websocket.disconnect"})
    await page


@pytest.mark.parametrize(
    ("host", "origin", "admitted"),
    [
        ("127.0.0.1", "http://localhost:3000", True),
        ("127.0.0.1", "https://localhost:3000", True),
        ("127.0.0.1", "http://localhost:3001", False),
        ("127.0.0.1", "http://localhost", False),
        ("127.0.0.1", "ftp://localhost:3000", False),
        ("127.0.0.1", "http://192.168.1.5:3000", False),
        ("127.0.0.1", "http://localhost.evil.test:3000", False),
        ("127.0.0.1", "http://localhost:x", False),
        ("127.0.0.1", "http://[::1:3000", False),
        ("127.0.0.1", "", False),
        ("Dev.example", "http://dev.example:3000", True),
        ("0.0.0.0", "http://192.168.1.5:3000", True),
        ("::", "http://[fe80::1]:3000", True),
        ("0.0.0.0", "http://evil.test:3000", False),
    ],
)
def test_origin(host: str, origin: str, admitted: bool) -> None:
    assert ReloadGuard(host, 3000, "/", "secret").admits_origin(origin) is admitted
