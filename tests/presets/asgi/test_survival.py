"""A bundle whose code raises what ends processes: it goes on, and a real signal still stops it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.bundles import PATIENCE, Server, build_project, run_bundle, write_files

PROJECT = {
    "nitro.toml": "experimental.websocket = true\n",
    "handlers/[error]/[where].get.py": """
        import asyncio
        import builtins
        from collections.abc import AsyncIterator

        from nitro_py import Event, create_event_stream, define_handler

        async def fail(error: str) -> None:
            raise getattr(builtins, error)("as told")

        async def source(error: str) -> AsyncIterator[str]:
            yield "first"
            await fail(error)

        @define_handler(streams=True)
        async def handler(event: Event) -> object:
            error = event.params["error"]
            match event.params["where"]:
                case "task":
                    event.context["task"] = asyncio.create_task(fail(error))
                case "callback":
                    def call() -> None:
                        raise getattr(builtins, error)("as told")
                    asyncio.get_running_loop().call_soon(call)
                case "later":
                    event.wait_until(fail(error))
                case "events":
                    return create_event_stream(event, source(error))
                case "chunks":
                    return source(error)
                case "closed":
                    stream = create_event_stream(event)
                    stream.on_closed(lambda: fail(error))
                    await stream.close()
                    return stream
                case "here":
                    await fail(error)
            await asyncio.sleep(0.05)
            return "went on"
        """,
    "handlers/plain/[error].get.py": """
        import builtins

        from nitro_py import Event, define_handler

        @define_handler
        def handler(event: Event) -> None:
            raise getattr(builtins, event.params["error"])("as told")
        """,
    "handlers/forgets.get.py": """
        from nitro_py import Event, define_handler, publish

        @define_handler
        def handler(event: Event) -> str:
            publish("topic", "lost")
            return "published"
        """,
    "handlers/chat.py": """
        import sys

        from nitro_py import Message, Peer, define_websocket_handler

        async def message(peer: Peer, message: Message) -> None:
            if message.text() == "exit":
                sys.exit(2)
            await peer.send(message.text())

        handler = define_websocket_handler(message=message)
        """,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the app, which must be there at the end."""
    output = build_project(write_files(tmp_path_factory.mktemp("survival"), PROJECT))
    with run_bundle(output, environ={"NITRO_PUBLISH_TOKEN": "token"}) as server:
        yield server
        server.stop()


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
@pytest.mark.parametrize("where", ["task", "callback", "later", "events", "chunks", "closed", "here"])
def test_request_that_ends_processes_ends_itself(server: Server, error: str, where: str) -> None:
    with connect(f"{server.socket_url}/chat") as other:
        try:
            answer = httpx.get(f"{server.url}/{error}/{where}", timeout=PATIENCE)
            text = {"events": "data: first\n\n", "closed": ""}.get(where, "went on")
            expected = (500, None) if where == "here" else (200, text)
            assert (answer.status_code, None if where == "here" else answer.text) == expected
        except httpx.RemoteProtocolError:
            # Chunks that break off may not look complete.
            assert where == "chunks"
        other.send("still here")
        assert other.recv(timeout=PATIENCE) == "still here"
    assert server.process.poll() is None


@pytest.mark.parametrize(
    "error", ["SystemExit", "KeyboardInterrupt", "StopIteration", "StopAsyncIteration", "GeneratorExit"]
)
def test_plain_handler_is_answered_with_500(server: Server, error: str) -> None:
    assert httpx.get(f"{server.url}/plain/{error}", timeout=PATIENCE).status_code == 500


def test_plain_handler_that_never_awaits_a_call_is_told(server: Server) -> None:
    assert httpx.get(f"{server.url}/forgets", timeout=PATIENCE).status_code == 500
    assert "The handler `handler` never awaited `publish`" in server.read_log()


def test_socket_that_exits_closes_alone(server: Server) -> None:
    with connect(f"{server.socket_url}/chat") as other, connect(f"{server.socket_url}/chat") as socket:
        socket.send("exit")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        other.send("still here")
        assert other.recv(timeout=PATIENCE) == "still here"


@pytest.mark.parametrize("message", [{"topic": 5}, {"topic": "\ud800"}, {"topic": "x", "namespace": ["a"]}])
def test_publication_to_no_topic_is_refused(server: Server, message: dict[str, object]) -> None:
    token = {"authorization": "Bearer token", "content-type": "application/json"}
    content = json.dumps({"data": "x", **message})
    answer = httpx.post(f"{server.url}/_nitro/publish", content=content, headers=token)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(("A topic ", "A namespace "))


def test_signal_still_stops_it(tmp_path: Path) -> None:
    with run_bundle(build_project(write_files(tmp_path, PROJECT))) as server:
        httpx.get(f"{server.url}/SystemExit/task")
        server.process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert server.process.wait(PATIENCE) == 0
        assert time.monotonic() - began < PATIENCE / 2
