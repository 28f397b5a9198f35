"""What `nitropy dev` prints of requests, sockets, event streams and the app's log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.bundles import Server, build_project, run_bundle
from tests.cli.commands import NITROPY, make_project, serve_project
from tests.dev.pages import PATIENCE, wait_for
from tests.dev.test_debugger import open_terminal

LOGGING = """
    import logging

    from nitro_py import Event, define_handler

    log = logging.getLogger("shop.prices")


    @define_handler
    async def handler(event: Event) -> None:
        log.debug("not shown")
        log.info("price of %s", event.query["of"])
        log.warning("no price")
"""
STREAM = """
    import asyncio
    from collections.abc import AsyncIterator

    from nitro_py import Event, define_handler
    from starlette.responses import StreamingResponse


    async def tick() -> AsyncIterator[str]:
        yield "data: 1\\n\\n"
        await asyncio.sleep(1.5)


    @define_handler
    async def handler(event: Event) -> StreamingResponse:
        return StreamingResponse(tick(), media_type="text/event-stream")
"""
FAILING = """
    import asyncio

    from nitro_py import Event, define_handler
    from starlette.responses import JSONResponse


    async def count(value: object) -> None:
        JSONResponse(value)


    @define_handler
    async def handler(event: Event) -> None:
        try:
            await asyncio.wait_for(count({1}), 5)
        except TypeError as error:
            raise ValueError("no count") from error
"""
UNSENDABLE = """
    from nitro_py import Event, define_handler


    @define_handler
    async def handler(event: Event) -> object:
        return object()
"""
FAILURES = {"handlers/failing.get.py": FAILING, "handlers/unsendable.get.py": UNSENDABLE}
FILES = {"handlers/log.get.py": LOGGING, "handlers/stream.get.py": STREAM, "public/style.css": "p {}"}
TIME = r"\d\d:\d\d:\d\d  "
TOOK = r" +[\d.]+ m?s"


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Server]:
    """Serve a project, from when its app is there."""
    root = make_project(tmp_path / "project", FILES)
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        yield server


def expect_line(server: Server, pattern: str) -> None:
    """Wait for a whole line."""
    wait_for(lambda: re.search(f"^{TIME}{pattern}$", server.read_log(), re.MULTILINE))


def test_requests_have_a_line_each(dev: Server) -> None:
    httpx.get(f"{dev.url}/api/hello?a=1")
    httpx.post(f"{dev.url}/api/hello")
    httpx.get(f"{dev.url}/style.css")
    httpx.get(f"{dev.url}/stream")
    expect_line(dev, rf"GET +/api/hello\?a=1 +200{TOOK}")
    expect_line(dev, rf"POST +/api/hello +405{TOOK}")
    expect_line(dev, rf"GET +/style.css +200{TOOK}")
    expect_line(dev, rf"GET +/stream +200{TOOK}")
    expect_line(dev, r"GET +/stream +ended +[1-9][\d.]* s")
    assert "\033" not in dev.read_log()


def test_sockets_have_lines_for_their_begin_and_end(dev: Server) -> None:
    with connect(f"{dev.socket_url}/api/chat") as chat:
        assert chat.recv(PATIENCE) == "welcome"
        expect_line(dev, rf"WS +/api/chat +open{TOOK}")
        chat.send("one")
        chat.send("two")
    expect_line(dev, rf"WS +/api/chat +closed 1000{TOOK}, 2 in")
    with pytest.raises(InvalidStatus):
        connect(f"{dev.socket_url}/api/chat", origin=Origin("http://evil.test"))
    with pytest.raises(InvalidStatus):
        connect(f"{dev.socket_url}/nowhere")
    expect_line(dev, r"WARNING  Refused a socket from origin http://evil.test .*`websocket.allowed_origins`.*")
    expect_line(dev, rf"WS +/api/chat +refused 403 Forbidden{TOOK}")
    expect_line(dev, rf"WS +/nowhere +refused 404 Not Found{TOOK}")


def test_log_of_the_app_is_seen(dev: Server) -> None:
    httpx.get(f"{dev.url}/log", params={"of": "tea\x1b[2J\r\nforged"})
    expect_line(dev, r"INFO     price of tea\\x1b\[2J\\r\\nforged  shop.prices")
    expect_line(dev, "WARNING  no price  shop.prices")
    assert "not shown" not in dev.read_log()


def test_levels_of_the_settings(tmp_path: Path) -> None:
    levels = '[log]\nlevel = "error"\n[log.levels]\n"shop.prices" = "debug"\nshop = "error"\n'
    root = make_project(tmp_path / "project", FILES)
    (root / "nitro.toml").write_text((root / "nitro.toml").read_text() + levels)
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        httpx.get(f"{server.url}/log?of=tea")
        expect_line(server, "DEBUG    not shown  shop.prices")
    with serve_project(root, "dev", "--port", "0", environ={"NITRO_LOG__LEVELS__SHOP__PRICES": "error"}) as server:
        wait_for(lambda: "Ready in" in server.read_log())
        httpx.get(f"{server.url}/log?of=tea")
        expect_line(server, rf"GET +/log\?of=tea +204{TOOK}")
        assert "price" not in server.read_log()


def test_colours_are_for_terminals(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", FILES)
    arguments = (str(NITROPY), "dev", "--port", "0")
    for environ, coloured in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        with open_terminal(*arguments, cwd=root, environ=environ) as terminal:
            url = terminal.expect(r"Listening on (http://[\d.:]+)")[1]
            terminal.expect("Ready in")
            httpx.get(f"{url}/api/hello")
            line = terminal.expect(r"\n(.*/api/hello.*)\r\n")[1]
            assert ("\033[32m200" in line) == coloured
            assert ("\033[" in line) == coloured
    with serve_project(root, "dev", "--port", "0", environ={"FORCE_COLOR": "1"}) as server:
        wait_for(lambda: "Ready in" in server.read_log())
        httpx.get(f"{server.url}/api/hello")
        wait_for(lambda: "\033[32m200" in server.read_log())


def test_tracebacks_have_the_lines_of_the_app(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", FAILURES)
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        assert httpx.get(f"{server.url}/failing").status_code == 500
        # It comes behind the traceback.
        expect_line(server, rf"GET +/failing +500{TOOK}")
        log = server.read_log()
        assert httpx.get(f"{server.url}/unsendable").status_code == 500
        expect_line(server, rf"GET +/unsendable +500{TOOK}")
        whole = server.read_log().removeprefix(log)
    files = re.findall(r'^  File ".*/(\S+/\S+)", line', log, re.MULTILINE)
    assert [file for file in files if file.startswith("handlers/")] == ["handlers/failing.get.py"] * 3
    assert not [file for file in files if file.startswith(("asyncio/", "http/", "nitro_py/", "starlette/"))]
    folded = re.findall(r"^  … \d+ calls? in (\w+)$", log, re.MULTILINE)
    assert folded[:2] == ["asyncio", "starlette"]
    assert re.search(r"^  … \d calls in nitro_py$", log, re.MULTILINE)
    assert (
        log.index("TypeError: Object of type set") < log.index("direct cause") < log.index("ValueError: no count")
    )
    # None of these is the app's, and without them nothing would be left.
    assert "Traceback" in whole
    assert "/nitro_py/runtime/" in whole
    assert "…" not in whole


def test_bundle_logs_whole_tracebacks(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", FAILURES)
    with run_bundle(build_project(root)) as server:
        assert httpx.get(f"{server.url}/failing").status_code == 500
        log = server.read_log()
    assert "/nitro_py/runtime/" in log
    assert "/starlette/responses.py" in log
