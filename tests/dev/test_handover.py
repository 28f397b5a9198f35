"""No client of `nitropy dev` loses a request at a reload, whatever connection it uses and when."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.bundles import write_files
from tests.cli.commands import FLAG, HELLO, make_project, serve_project
from tests.dev.pages import PATIENCE, hear, wait_for, watch_page

RELOADS = 6
MANY = 400
MAX_RETRY_PAUSE = 0.6

Connect = Callable[[], http.client.HTTPConnection]
Visit = Callable[[Connect, threading.Event], Iterator[str]]


def ask(connection: http.client.HTTPConnection) -> str:
    """Ask the app; unlike a browser, this client never asks again when its connection ends."""
    connection.request("GET", "/api/hello")
    return str(json.loads(connection.getresponse().read())["message"])


def keep_busy(connect: Connect, ended: threading.Event) -> Iterator[str]:
    """Ask again and again on one connection."""
    with closing(connect()) as connection:
        first = connection.sock
        while not ended.is_set():
            yield ask(connection)
            assert connection.sock is first


def keep_for_later(connect: Connect, ended: threading.Event) -> Iterator[str]:
    """Ask now and then on one connection."""
    with closing(connect()) as connection:
        first = connection.sock
        while not ended.wait(random.uniform(0, MAX_RETRY_PAUSE)):
            yield ask(connection)
            assert connection.sock is first


def come_anew(connect: Connect, ended: threading.Event) -> Iterator[str]:
    """Ask on a new connection each time."""
    while not ended.is_set():
        with closing(connect()) as connection:
            yield ask(connection)


def come_early(connect: Connect, ended: threading.Event) -> Iterator[str]:
    """Open connections well before asking, as browsers do."""
    while not ended.is_set():
        with closing(connect()) as connection:
            time.sleep(random.uniform(0, MAX_RETRY_PAUSE))
            yield ask(connection)


VISITS: tuple[Visit, ...] = (keep_busy, keep_for_later, keep_for_later, come_anew, come_early, come_early)


@contextmanager
def visiting(url: str) -> Iterator[list[set[str]]]:
    """Let clients of all kinds ask until the end of the block, and return what each is answered."""
    ended = threading.Event()
    answers: list[set[str]] = [set() for _ in VISITS]

    def connect() -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
        connection.connect()
        return connection

    def ask_on(visit: Visit, found: set[str]) -> None:
        for answer in visit(connect, ended):
            found.add(answer)

    with ThreadPoolExecutor(len(VISITS)) as pool:
        visits = [pool.submit(ask_on, *pair) for pair in zip(VISITS, answers, strict=True)]
        try:
            yield answers
        finally:
            ended.set()
            for visit in visits:
                visit.result()


@pytest.mark.slow
def test_no_request_is_lost_during_many_reloads(tmp_path: Path) -> None:
    # A delay is for load balancers: here each reload would take as long.
    delay = f"{FLAG}server.grace = 900.0\nserver.drain_delay = 600.0\n"
    root = make_project(tmp_path / "project", {"nitro.toml": delay})
    words = ["hello", *(f"number {number}" for number in range(RELOADS))]
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        with visiting(server.url) as results:
            # Everybody shall have met the first app and the last.
            wait_for(lambda: all("hello" in answers for answers in results))
            for word in words[1:]:
                with watch_page(server.url) as page:
                    write_files(root, {"handlers/api/hello.get.py": HELLO.replace('"hello"', f'"{word}"')})
                    assert hear(page) == {"type": "reload"}
            wait_for(lambda: all(words[-1] in answers for answers in results))
        assert all(answers <= {*words} for answers in results)


def test_many_connections_go_over_at_once(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    with serve_project(root, "dev", "--port", "0") as server, ExitStack() as stack:
        wait_for(lambda: "Ready in" in server.read_log())
        kept = []
        for _ in range(MANY):
            connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE)
            connection.connect()
            kept.append((stack.enter_context(closing(connection)), connection.sock))
        with watch_page(server.url) as page:
            write_files(root, {"handlers/api/hello.get.py": HELLO.replace('"hello"', '"changed"')})
            assert hear(page) == {"type": "reload"}
        for connection, first in kept:
            assert ask(connection) == "changed"
            assert connection.sock is first


def test_connection_outlives_an_error_page(tmp_path: Path, unused_port: int) -> None:
    root = make_project(tmp_path / "project", {"handlers/api/hello.get.py": "def"})
    arguments = ["--port", str(unused_port), "--hmr-port", "0"]
    with serve_project(root, "dev", *arguments, announcement="Live reload on ") as server:
        wait_for(lambda: "error: " in server.read_log())
        with closing(http.client.HTTPConnection("127.0.0.1", unused_port, timeout=PATIENCE)) as connection:
            connection.request("GET", "/api/hello")
            answer = connection.getresponse()
            assert (answer.status, b"is not valid Python" in answer.read()) == (503, True)
            first = connection.sock
            write_files(root, {"handlers/api/hello.get.py": HELLO})
            wait_for(lambda: "Ready in" in server.read_log())
            assert ask(connection) == "hello"
            assert connection.sock is first


def test_long_answer_of_the_old_app_is_given_in_full(tmp_path: Path) -> None:
    slow = HELLO.replace("return", "await __import__('asyncio').sleep(2)\n        return")
    root = make_project(tmp_path / "project", {"handlers/api/slow.get.py": slow})
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE)) as connection:
            connection.request("GET", "/api/slow")
            with watch_page(server.url) as page:
                write_files(root, {"handlers/api/hello.get.py": HELLO.replace('"hello"', '"changed"')})
                assert hear(page) == {"type": "reload"}
            assert json.loads(connection.getresponse().read()) == {"message": "hello"}
            first = connection.sock
            # The connection has gone over to the new app by itself.
            assert ask(connection) == "changed"
            assert connection.sock is first
