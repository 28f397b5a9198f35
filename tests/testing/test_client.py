"""The in-process client, on the demo and on an app of its own."""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nitro_py.errors import BuildError, UsageError
from nitro_py.testing import Client, SocketClosed, UpgradeRefused, client
from tests.bundles import copy_demo, write_files

pytestmark = pytest.mark.anyio

PROJECT = {
    "nitro.toml": "experimental.websocket = true\npublic_dir = 'static'",
    "static/hello.txt": "Hello.",
    "handlers/plugins/log.py": """
        from collections.abc import AsyncIterator

        from nitro_py import define_plugin

        LINES: list[str] = []

        @define_plugin
        async def log() -> AsyncIterator[None]:
            LINES.append("started")
            yield
            LINES.append("stopped")
        """,
    "handlers/echo.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> dict[str, object]:
            body = (await event.body()).decode()
            kind = event.headers.get("content-type")
            return {"method": event.method, "query": dict(event.query), "body": body, "type": kind}
        """,
    "handlers/mode.get.dev.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> str:
            raise ValueError("visible in development")
        """,
    "handlers/stuck.get.py": """
        import asyncio

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> None:
            await asyncio.sleep(60)
        """,
    "handlers/ticks.get.py": """
        from collections.abc import AsyncIterator

        from nitro_py import Event, EventStream, EventStreamMessage, create_event_stream, define_handler
        from .plugins.log import LINES

        async def tick() -> AsyncIterator[EventStreamMessage]:
            try:
                number = 0
                while True:
                    number += 1
                    yield EventStreamMessage({"n": number}, id=str(number), event="tick")
            finally:
                LINES.append(f"stopped ticking before {number + 8}")

        @define_handler
        async def handler(event: Event) -> EventStream:
            return create_event_stream(event, tick())
        """,
    "handlers/talk.py": """
        from nitro_py import HTTPError, Upgrade, define_websocket_handler
        from .plugins.log import LINES

        def upgrade(request):
            if "key" not in request.query:
                raise HTTPError(401, "no key")
            protocol = "v2" if "sec-websocket-protocol" in request.headers else None
            return Upgrade(protocol=protocol, headers={"x-a": "b"})

        async def open(peer):
            await peer.subscribe("news")

        async def message(peer, message):
            if message.data == "end":
                await peer.close(4001, "enough")
            elif message.data == "drop":
                await peer.terminate()
            else:
                await peer.send(message.data)

        def close(peer, details):
            LINES.append(f"closed {details.code} {details.reason}")

        handler = define_websocket_handler(upgrade=upgrade, open=open, message=message, close=close)
        """,
    "handlers/lines.get.py": """
        from nitro_py import Event, define_handler
        from .plugins.log import LINES

        @define_handler
        async def handler(event: Event) -> list[str]:
            return LINES
        """,
}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Client]:
    async with client(write_files(tmp_path, PROJECT)) as app:
        yield app


async def read_lines(app: Client) -> list[str]:
    lines: list[str] = (await app.get("/lines")).json()
    return lines


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
async def test_every_method_is_sent(app: Client, method: str) -> None:
    answer = await getattr(app, method)("/echo?a=1", params={"b": "ü"})
    assert (answer.status, answer.json()["method"]) == (200, method.upper())
    assert answer.json()["query"] == {"a": "1", "b": "ü"}


async def test_bodies_are_encoded(app: Client) -> None:
    assert (await app.post("/echo", json={"a": [1]})).json()["body"] == '{"a":[1]}'
    form = (await app.post("/echo", data={"a": "x y"})).json()
    assert (form["body"], form["type"]) == ("a=x+y", "application/x-www-form-urlencoded")
    plain = (await app.post("/echo", content="text", headers={"Content-Type": "text/x-mine"})).json()
    assert (plain["body"], plain["type"]) == ("text", "text/x-mine")
    with pytest.raises(ValueError, match="one body"):
        await app.post("/echo", json=1, content="2")
    with pytest.raises(ValueError, match="starts with `/`"):
        await app.get("echo")


async def test_answers_are_whole(app: Client) -> None:
    head = await app.head("/echo")
    assert (head.status, head.body, head.headers["content-type"]) == (200, b"", "application/json")
    assert (await app.get("/hello.txt")).text == "Hello."
    assert (await app.get("/mode")).status == 404


async def test_answer_that_never_comes_is_an_error_that_names_the_request(tmp_path: Path) -> None:
    async with client(write_files(tmp_path, PROJECT), timeout=1) as app:
        with pytest.raises(TimeoutError, match=r"^GET /stuck gave no whole answer within 1 s\.$"):
            await app.get("/stuck")


async def test_events_are_parsed_and_leaving_ends_the_source(app: Client) -> None:
    async with app.stream("GET", "/ticks") as stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
        first = await anext(stream.events())
        assert (first.data, first.event, first.id) == ('{"n":1}', "tick", "1")
        assert (await anext(stream.events())).id == "2"
    assert (await read_lines(app))[-1].startswith("stopped ticking")


async def test_socket_sends_and_receives(app: Client) -> None:
    async with app.connect("/talk?key=1", subprotocols=["v1", "v2"]) as socket:
        assert (socket.subprotocol, socket.headers["x-a"], socket.closed) == ("v2", "b", None)
        await socket.send("text")
        assert await socket.receive_text() == "text"
        await socket.send(b"\x00")
        assert await socket.receive_bytes() == b"\x00"
        await socket.send({"a": 1})
        assert await socket.receive_json() == {"a": 1}
        await socket.send("text")
        with pytest.raises(AssertionError, match="Expected a binary message"):
            await socket.receive_bytes()
        await app.publish("news", {"b": 2})
        assert await socket.receive_json() == {"b": 2}
        await app.publish("news", "elsewhere", namespace="/other")
        with pytest.raises(TimeoutError, match=r"The socket /talk gave no message within 0\.05 s"):
            await socket.receive(timeout=0.05)
    assert (await read_lines(app))[-1] == "closed 1000 "


async def test_either_side_closes(app: Client) -> None:
    async with app.connect("/talk?key=1") as socket:
        await socket.send("end")
        closed = await socket.wait_closed()
        assert (closed.code, closed.reason) == (4001, "enough")
        with pytest.raises(SocketClosed, match="4001 enough"):
            await socket.receive()
        with pytest.raises(SocketClosed):
            await socket.send("late")
    async with app.connect("/talk?key=1") as socket:
        await socket.close(4002, "mine")
        assert (await read_lines(app))[-1] == "closed 4002 mine"
    async with app.connect("/talk?key=1") as socket:
        await socket.send("drop")
        assert (await socket.wait_closed()).code == 1006


async def test_refusal_carries_the_whole_answer(app: Client) -> None:
    with pytest.raises(UpgradeRefused) as caught:
        async with app.connect("/talk"):
            pass
    assert (caught.value.status, caught.value.headers["content-type"]) == (401, "application/json")
    assert b"no key" in caught.value.body
    with pytest.raises(UpgradeRefused, match="403"):
        async with app.connect("/talk?key=1", origin="http://elsewhere.example"):
            pass


async def test_plugins_run_around_the_block(tmp_path: Path) -> None:
    write_files(tmp_path, PROJECT)
    async with client(tmp_path) as app:
        lines = await read_lines(app)
        assert lines == ["started"]
    assert importlib.import_module("handlers.plugins.log").LINES == ["started", "stopped"]


async def test_development_shows_what_went_wrong(tmp_path: Path) -> None:
    async with client(write_files(tmp_path, PROJECT), mode="development", raise_errors=False) as app:
        answer = await app.get("/mode")
        assert (answer.status, answer.json()["message"]) == (500, "ValueError: visible in development")
        async with app.connect("/talk?key=1", origin="http://localhost:5173") as socket:
            assert socket.closed is None


async def test_demo_answers(tmp_path: Path) -> None:
    async with client(copy_demo(tmp_path)) as app, app.connect("/api/ws/chat") as socket:
        assert (await app.get("/api/hello")).json() == {"message": "hello"}
        assert (await socket.receive_json())["message"].startswith("Welcome ")
        await socket.send("ping")
        assert await socket.receive_json() == {"user": "server", "message": "pong"}


async def test_what_the_build_refuses_does_not_pass_here(tmp_path: Path) -> None:
    write_files(tmp_path, {**PROJECT, "nitro.toml": "public_dir = 'static'"})
    with pytest.raises(BuildError, match="is a WebSocket route, and WebSocket is off"):
        async with client(tmp_path):
            pass


ENVIRONMENT = {
    "nitro.toml": "runtime_config.url = ''\n",
    "handlers/show.get.py": """
        import os

        from nitro_py import Event, define_handler, runtime_config

        @define_handler
        async def handler(event: Event) -> list[object]:
            return [os.environ.get("CLIENT_A"), os.environ.get("CLIENT_B"), runtime_config()["url"]]
        """,
    ".env": "CLIENT_A=file\nCLIENT_B=file\nNITRO_RUNTIME_CONFIG__URL=http://file\n",
    ".env.local": "CLIENT_A=local\n",
}


async def test_env_files_count_until_the_client_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_files(tmp_path / "environment", ENVIRONMENT)
    async with client(root) as app:
        assert (await app.get("/show")).json() == ["local", "file", "http://file"]
        async with client(root) as other:
            assert (await other.get("/show")).json() == ["local", "file", "http://file"]
        # The first needs them still.
        assert (await app.get("/show")).json() == ["local", "file", "http://file"]
    assert not {"CLIENT_A", "CLIENT_B", "NITRO_RUNTIME_CONFIG__URL"} & {*os.environ}
    monkeypatch.setenv("CLIENT_A", "test")
    async with client(root) as app:
        assert (await app.get("/show")).json() == ["test", "file", "http://file"]
    assert os.environ["CLIENT_A"] == "test"


async def test_env_files_of_two_projects_that_differ(tmp_path: Path) -> None:
    one = write_files(tmp_path / "one", ENVIRONMENT)
    two = write_files(tmp_path / "two", {**ENVIRONMENT, ".env.local": "CLIENT_A=other\n"})
    async with client(one):
        with pytest.raises(UsageError, match=r"`CLIENT_A` has another value in the `\.env` of a project"):
            async with client(two):
                pass
    async with client(two) as app:
        assert (await app.get("/show")).json() == ["other", "file", "http://file"]
