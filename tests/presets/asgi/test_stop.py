"""The graceful stop of a bundle."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.bundles import PATIENCE, Server, build_project, run_bundle, write_files

PROJECT = {
    # A stop that waits for the end of its time fails.
    "nitro.toml": """
        experimental.websocket = true
        server.grace = 3600.0
        """,
    "handlers/plugins/journal.py": """
        import os
        from collections.abc import AsyncIterator

        from nitro_py import define_plugin

        @define_plugin
        async def journal() -> AsyncIterator[None]:
            write("started")
            yield
            write("stopped")

        def write(line: str) -> None:
            with open(os.environ["JOURNAL"], "a") as file:
                file.write(line + "\\n")
        """,
    "handlers/chat.py": """
        from nitro_py import Peer, define_websocket_handler
        from .plugins.journal import write

        async def open(peer: Peer) -> None:
            await peer.send("welcome")

        async def close(peer: Peer, details) -> None:
            write(f"closed {details.code}")

        handler = define_websocket_handler(open=open, close=close)
        """,
    "handlers/clock.py": """
        import asyncio
        from collections.abc import AsyncIterator

        from nitro_py import Event, EventStream, create_event_stream, define_handler
        from .plugins.journal import write

        async def tick() -> AsyncIterator[str]:
            try:
                while True:
                    yield "tick"
                    await asyncio.sleep(60)
            finally:
                write("clock stopped")

        @define_handler
        async def handler(event: Event) -> EventStream:
            return create_event_stream(event, tick())
        """,
    "handlers/work.post.py": """
        import asyncio

        from nitro_py import Event, define_handler
        from .plugins.journal import write

        async def work() -> None:
            await asyncio.sleep(0.5)
            write("worked")

        @define_handler
        async def handler(event: Event) -> None:
            event.wait_until(work())
        """,
}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Name the file that the app writes into."""
    return tmp_path / "journal.txt"


@pytest.fixture
def server(tmp_path: Path, journal: Path) -> Iterator[Server]:
    """Run the bundle of an app that keeps a journal."""
    output = build_project(write_files(tmp_path, PROJECT))
    with run_bundle(output, environ={"JOURNAL": str(journal)}) as server:
        yield server


def stop(server: Server) -> None:
    """Stop a server, and check that it was content."""
    server.stop()
    assert "Traceback" not in server.read_log()


def test_sockets_are_closed_with_1001(server: Server, journal: Path) -> None:
    with connect(f"{server.socket_url}/chat") as first, connect(f"{server.socket_url}/chat") as second:
        assert (first.recv(PATIENCE), second.recv(PATIENCE)) == ("welcome", "welcome")
        stop(server)
        for socket in (first, second):
            with pytest.raises(ConnectionClosed) as caught:
                socket.recv(PATIENCE)
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "The server stops.")
    assert journal.read_text().splitlines() == ["started", "closed 1001", "closed 1001", "stopped"]


def test_client_that_never_answers_does_not_hold_up_the_stop(server: Server, journal: Path) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    handshake = (
        f"GET /chat HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as client:
        client.sendall(handshake.encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        stop(server)
    assert journal.read_text().splitlines() == ["started", "closed 1001", "stopped"]


def test_streams_are_ended(server: Server, journal: Path) -> None:
    with httpx.stream("GET", f"{server.url}/clock") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: tick"
        stop(server)
        # An end that is not one would raise `RemoteProtocolError`.
        assert list(lines) == [""]
    assert journal.read_text().splitlines() == ["started", "clock stopped", "stopped"]


def test_background_work_ends_before_plugins(server: Server, journal: Path) -> None:
    assert httpx.post(f"{server.url}/work").status_code == 204
    stop(server)
    assert journal.read_text().splitlines() == ["started", "worked", "stopped"]


def test_nothing_new_is_accepted(server: Server) -> None:
    stop(server)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)
