"""`nitropy dev` and `preview` answer to the names of this machine, and not to a name that was rebound to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.browser import open_browser
from tests.bundles import Server
from tests.cli.commands import make_project, serve_project, succeed
from tests.dev.pages import find_live_reload, wait_for

REBOUND, FRIEND = "rebound.test", "friend.test"
LOCAL = ("localhost", "app.localhost", "127.0.0.1", "[::1]", "10.1.2.3")
SETTING = "experimental.websocket = true\nserver.allowed_hosts = ['friend.test']\n"
# A name server that points all names in `test` to this machine.
RESOLVER = "--host-resolver-rules=MAP *.test 127.0.0.1"
# What a page of the same name and port can read and open.
ATTACK = """async () => {
  const read = async (path) => { const answer = await fetch(path); return [answer.status, await answer.text()]; };
  const open = (url) => new Promise((done) => {
    const socket = new WebSocket(url);
    socket.onmessage = (event) => { done(event.data); socket.close(); };
    socket.onerror = () => done("refused");
  });
  const stream = () => new Promise((done) => {
    const source = new EventSource("/api/ticks");
    source.onmessage = (event) => { done(event.data); source.close(); };
    source.onerror = () => { done("refused"); source.close(); };
  });
  return {
    route: await read("/api/hello"),
    file: (await read("/notes.txt"))[1],
    socket: await open(`ws://${location.host}/api/chat`),
    stream: await stream(),
  };
}"""
FILES = {
    "public/notes.txt": "my notes",
    "handlers/api/ticks.get.py": """
        from nitro_py import Event, EventStream, create_event_stream, define_handler


        @define_handler(streams=True)
        async def handler(event: Event) -> EventStream:
            async def ticks():
                yield "tick"

            return create_event_stream(event, ticks())
    """,
}


@contextmanager
def serve(root: Path, command: str) -> Iterator[Server]:
    """Run `nitropy dev` or `nitropy preview` on a project until the end of the block."""
    if command == "preview":
        succeed(root, "build")
    with serve_project(root, command, "--port", "0") as server:
        if command == "dev":
            wait_for(lambda: "Ready in" in server.read_log())
        yield server


@pytest.fixture(scope="module", params=["dev", "preview"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a project without `server.allowed_hosts`."""
    root = make_project(tmp_path_factory.mktemp(request.param) / "project", FILES)
    with serve(root, request.param) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium with the name server."""
    with open_browser(RESOLVER) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open an empty page."""
    page = browser.new_page()
    yield page
    page.close()


def get(server: Server, path: str, host: str) -> httpx.Response:
    """Request something by a host's name."""
    return httpx.get(server.url + path, headers={"host": f"{host}:{urlsplit(server.url).port}"})


def open_socket(url: str, host: str, origin: str | None = None) -> ClientConnection:
    """Open a socket by a host's name, wherever that name leads."""
    place = urlsplit(url)
    connection = socket.create_connection((place.hostname, place.port))
    named = urlunsplit(place._replace(netloc=f"{host}:{place.port}"))
    return connect(named, sock=connection, origin=Origin(origin) if origin else None)


def attack(page: Page, server: Server, host: str) -> dict[str, Any]:
    """Open a page by a host's name, and run the attack in its origin."""
    page.goto(f"http://{host}:{urlsplit(server.url).port}/")
    found: dict[str, Any] = page.evaluate(ATTACK)
    return found


@pytest.mark.parametrize("host", LOCAL)
def test_names_of_this_machine_are_answered(server: Server, host: str) -> None:
    assert get(server, "/api/hello", host).json() == {"message": "hello"}
    with open_socket(f"{server.socket_url}/api/chat", host) as chat:
        assert chat.recv(60) == "welcome"


def test_refusal_says_which_line_to_add(server: Server) -> None:
    answer = get(server, "/api/hello", REBOUND)
    assert (answer.status_code, answer.json()) == (
        403,
        {
            "status": 403,
            "message": "The host `rebound.test` is not in `server.allowed_hosts`. If it is yours, write "
            "`allowed_hosts = ['rebound.test']` into `[server]` of `nitro.toml`, or into `[tool.nitropy.server]` "
            "of `pyproject.toml`.",
            "data": None,
        },
    )
    assert get(server, "/notes.txt", REBOUND).status_code == 403
    assert server.read_log().count(f"Refused a request to the host {REBOUND}") == 1
    assert get(server, "/_nitro/ready", REBOUND).status_code == 200
    with pytest.raises(InvalidStatus, match="403"):
        open_socket(f"{server.socket_url}/api/chat", REBOUND)


def test_page_of_a_rebound_name_reads_and_opens_nothing(server: Server, page: Page) -> None:
    found = attack(page, server, REBOUND)
    assert found["route"][0] == 403
    assert "`server.allowed_hosts`" in found["route"][1]
    assert "my notes" not in found["file"]
    assert (found["socket"], found["stream"]) == ("refused", "refused")


def test_browser_shows_the_line_to_add(server: Server, page: Page) -> None:
    answer = page.goto(f"http://{REBOUND}:{urlsplit(server.url).port}/")
    assert answer is not None
    assert answer.status == 403
    assert "allowed_hosts = ['rebound.test']" in page.locator("body").inner_text()


def test_page_of_an_own_name_works(server: Server, page: Page) -> None:
    found = attack(page, server, "app.localhost")
    assert found == {
        "route": [200, '{"message":"hello"}'],
        "file": "my notes",
        "socket": "welcome",
        "stream": "tick",
    }


def test_preview_answers_to_allowed_hosts_beside_the_own_names(tmp_path: Path, page: Page) -> None:
    root = make_project(tmp_path / "project", {**FILES, "nitro.toml": SETTING})
    with serve(root, "preview") as server:
        for host in (FRIEND, *LOCAL):
            assert get(server, "/api/hello", host).status_code == 200
        assert get(server, "/api/hello", REBOUND).status_code == 403
        assert attack(page, server, FRIEND)["socket"] == "welcome"


def test_dev_takes_a_change_of_the_setting_for_the_app_and_live_reload(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    with serve(root, "dev") as server:
        assert get(server, "/api/hello", FRIEND).status_code == 403
        (root / "nitro.toml").write_text(SETTING)
        wait_for(lambda: get(server, "/api/hello", FRIEND).status_code == 200)
        assert get(server, "/api/hello", REBOUND).status_code == 403
        port = urlsplit(server.url).port
        reload = find_live_reload(httpx.get(server.url).text)
        for host in (FRIEND, "app.localhost", "localhost"):
            with open_socket(reload, host, f"http://{host}:{port}") as opened:
                opened.ping().wait(60)
        for host, origin in ((REBOUND, "localhost"), ("localhost", REBOUND), (REBOUND, REBOUND)):
            with pytest.raises(InvalidStatus, match="403"):
                open_socket(reload, host, f"http://{origin}:{port}")


def test_page_with_an_error_is_not_for_others(tmp_path: Path, unused_port: int) -> None:
    root = make_project(tmp_path / "project", {"handlers/broken.get.py": "1 / 0\n"})
    arguments = ("dev", "--port", str(unused_port), "--hmr-port", "0")
    with serve_project(root, *arguments, announcement="Live reload on ") as running:
        server = Server(f"http://127.0.0.1:{unused_port}", running.process, running.log)
        wait_for(lambda: "ZeroDivisionError" in server.read_log())
        wait_for(lambda: answers(server))
        assert "ZeroDivisionError" in get(server, "/", "localhost").text
        refused = get(server, "/", REBOUND)
        assert (refused.status_code, refused.json()["status"]) == (403, 403)
        assert "ZeroDivisionError" not in refused.text


def answers(server: Server) -> bool:
    """Return whether anything answers already."""
    try:
        return get(server, "/", "localhost").status_code == 503
    except httpx.TransportError:
        return False
