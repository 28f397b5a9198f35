"""`nitropy dev`: changes are served, failures are shown, and the last good app goes on."""

from __future__ import annotations

import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.bundles import Server, write_files
from tests.cli.commands import HELLO, PAGE, make_project, serve_project, succeed
from tests.dev.pages import PATIENCE, hear, open_live_reload, wait_for, watch_page
from tests.process_states import list_children

CHANGED = HELLO.replace('"hello"', '"changed"')


def say_hello(server: Server) -> object:
    """Ask the app, which may not be refused at any time."""
    return httpx.get(f"{server.url}/api/hello").json()["message"]


def test_change_of_a_handler_is_served(root: Path, dev: Server) -> None:
    assert say_hello(dev) == "hello"
    with watch_page(dev.url) as page, connect(f"{dev.socket_url}/api/chat") as chat:
        assert chat.recv(PATIENCE) == "welcome"
        with httpx.Client() as browser:
            # As browsers do, it keeps its connection for the next request.
            assert browser.get(f"{dev.url}/api/hello").json() == {"message": "hello"}
            write_files(root, {"handlers/api/hello.get.py": CHANGED})
            # The socket is read to its end, since a peer that does not answer a close is waited for.
            assert [*chat] == []
            assert chat.close_code == 1001
            assert hear(page) == {"type": "reload"}
            # Once pages are told, the old app answers no client any more.
            assert browser.get(f"{dev.url}/api/hello").json() == {"message": "changed"}
    write_files(root, {"handlers/api/new.get.py": HELLO})
    wait_for(lambda: httpx.get(f"{dev.url}/api/new").status_code == 200)
    assert re.search(r"Reloaded handlers/api/hello.get.py in [\d.]+ m?s\n", dev.read_log())


def test_nobody_is_refused_while_the_app_restarts(root: Path, dev: Server) -> None:
    ended = threading.Event()

    def ask() -> set[object]:
        answers = set()
        while not ended.is_set():
            answers.add(say_hello(dev))
        return answers

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            for text in ("one", "two"):
                write_files(root, {"handlers/api/hello.get.py": HELLO.replace('"hello"', f'"{text}"')})
                wait_for(partial(lambda text: say_hello(dev) == text, text))
        finally:
            ended.set()
        for answers in asking:
            # What matters is that nothing was raised: each question has had its answer.
            assert "one" in answers.result() <= {"hello", "one", "two"}


def test_failed_build_keeps_the_last_good_app(root: Path, dev: Server) -> None:
    with watch_page(dev.url) as page:
        write_files(root, {"handlers/api/hello.get.py": "def"})
        problem = hear(page)
        assert problem["type"] == "error"
        assert problem["message"].startswith("`handlers/api/hello.get.py` is not valid Python")
        assert say_hello(dev) == "hello"
        with watch_page(dev.url) as late:
            assert hear(late) == problem
        assert "error: `handlers/api/hello.get.py` is not valid Python" in dev.read_log()
        write_files(root, {"handlers/api/hello.get.py": HELLO})
        assert hear(page) == {"type": "reload"}
    # It is said once the pages have been told.
    wait_for(lambda: "All is well again" in dev.read_log())


def test_traceback_names_the_files_of_the_project(root: Path, dev: Server) -> None:
    helper = "def divide():\n    return 1 / 0\n"
    route = "from nitro_py import define_handler\nfrom . import _helper\n\n@define_handler\ndef handler(event):\n"
    files = {"handlers/api/_helper.py": helper, "handlers/api/bad.get.py": f"{route}    return _helper.divide()\n"}
    write_files(root, files)

    def read_frames() -> str:
        """Return the frames of the traceback; an old app, or a build of one of the files, has none."""
        return "".join(httpx.get(f"{dev.url}/api/bad").json()["data"] or ())

    # Twice: the second app must not find byte code that names the copies.
    for greeting in ("hello", "changed"):
        wait_for(lambda greeting=greeting: say_hello(dev) == greeting)  # type: ignore[misc]
        # Until pages are told of the new app, the old one may answer, too.
        frames = wait_for(read_frames)
        for file, line in (("_helper.py", 2), ("bad.get.py", 6)):
            assert f'File "{root / "handlers/api" / file}", line {line},' in frames
        assert ".nitro/dev" not in frames
        write_files(root, {"handlers/api/hello.get.py": CHANGED})


def test_app_that_cannot_start_keeps_the_last_good_one(root: Path, dev: Server) -> None:
    plugin = """
        from nitro_py import define_plugin


        @define_plugin
        async def plugin():
            raise RuntimeError("no database")
            yield
    """
    with watch_page(dev.url) as page:
        write_files(root, {"handlers/plugins/database.py": plugin})
        assert hear(page)["message"].startswith("The app cannot start: RuntimeError: no database.")
        assert say_hello(dev) == "hello"
        (root / "handlers/plugins/database.py").unlink()
        assert hear(page) == {"type": "reload"}


def test_project_that_fails_from_the_start(tmp_path: Path, unused_port: int) -> None:
    root = make_project(tmp_path / "project", {"handlers/api/hello.get.py": "def"})
    url = f"http://127.0.0.1:{unused_port}"
    arguments = ["--port", str(unused_port), "--hmr-port", "0"]
    with serve_project(root, "dev", *arguments, announcement="Live reload on ") as server:
        wait_for(lambda: "error: " in server.read_log())
        answer = httpx.get(f"{url}/api/hello")
        assert answer.status_code == 503
        assert "is not valid Python" in answer.text
        shown = httpx.get(url, headers={"accept": "text/html"})
        with open_live_reload(shown, url) as page:
            assert hear(page)["type"] == "error"
            write_files(root, {"handlers/api/hello.get.py": HELLO})
            assert hear(page) == {"type": "reload"}
        assert httpx.get(f"{url}/api/hello").json() == {"message": "hello"}


def test_app_that_ends_by_itself_is_told_and_started_again(root: Path, dev: Server) -> None:
    dying = HELLO.replace("return", "__import__('os')._exit(3)\n        return")
    with watch_page(dev.url) as page:
        write_files(root, {"handlers/api/die.get.py": dying})
        assert hear(page) == {"type": "reload"}
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{dev.url}/api/die")
        assert hear(page)["message"].startswith("The app has ended with status 3.")
        assert httpx.get(f"{dev.url}/api/hello").status_code == 503
        write_files(root, {"handlers/api/die.get.py": HELLO})
        assert hear(page) == {"type": "reload"}
    assert say_hello(dev) == "hello"


def test_what_does_not_matter_restarts_nothing(root: Path, dev: Server) -> None:
    (root / ".venv").mkdir()
    write_files(root, {"notes.md": "", ".venv/a.py": "", ".git/HEAD": "", "docs/a.md": ""})
    write_files(root, {"handlers/api/hello.get.py": CHANGED})
    wait_for(lambda: "Reloaded " in dev.read_log())
    assert (dev.read_log().count("Ready in"), dev.read_log().count("Reloaded ")) == (1, 1)


def test_publish_reaches_a_connected_peer(root: Path, dev: Server) -> None:
    with connect(f"{dev.socket_url}/api/chat") as chat:
        assert chat.recv(PATIENCE) == "welcome"
        succeed(root, "publish", "chat", "hello there")
        assert chat.recv(PATIENCE) == "hello there"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_everything(root: Path, dev: Server, number: int) -> None:
    child = list_children(dev.process.pid)[0]
    with connect(f"{dev.socket_url}/api/chat") as chat:
        assert chat.recv(PATIENCE) == "welcome"
        dev.process.send_signal(number)
        assert [*chat] == []
        assert chat.close_code == 1001
    assert dev.process.wait(PATIENCE) == 0
    assert "Traceback" not in dev.read_log()
    assert not (root / ".nitro/run.json").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_app_ends_with_a_dev_server_that_was_killed(dev: Server) -> None:
    dev.process.kill()
    dev.process.wait()
    with pytest.raises(httpx.TransportError):
        wait_for(lambda: not say_hello(dev))


def test_modes_own_files_and_settings_hold(tmp_path: Path) -> None:
    files = {
        "nitro.toml": "experimental.websocket = true\n[development]\nruntime_config.name = 'dev'\n",
        "handlers/mode.dev.py": HELLO.replace('"hello"', '"development"'),
        "handlers/mode.prod.py": HELLO.replace('"hello"', '"production"'),
        "handlers/index.get.py": PAGE,
    }
    root = make_project(tmp_path / "project", files)
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        assert httpx.get(f"{server.url}/mode").json() == {"message": "development"}
        assert not (root / ".output").exists()


def test_body_with_a_status_is_told_once(root: Path, dev: Server) -> None:
    route = (
        "from nitro_py import define_handler\n\n@define_handler\ndef handler(event):\n    return {'new': 1}, 201\n"
    )
    write_files(root, {"handlers/make.post.py": route})
    wait_for(lambda: httpx.post(f"{dev.url}/make").status_code == 500)
    write_files(root, {"handlers/api/hello.get.py": CHANGED})
    wait_for(lambda: say_hello(dev) == "changed")
    assert dev.read_log().count("warning: handlers/make.post.py:5: this handler returns a tuple") == 1
