"""The opening handshake: what a client sees of it, and what an application does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nitro_py.event import Receive, Scope, Send
from nitro_py.runtime.asgi.extensions import SOCKET_EXTENSION
from nitro_py.server.websocket.frames import CLOSE, FIN, TEXT
from tests.server.websocket.raw import (
    HANDSHAKE,
    PATIENCE,
    echo,
    open_connection,
    open_socket,
    serve,
    write_head,
    write_masked,
)
from tests.server.websocket.recorder import Recorder, poll

pytestmark = pytest.mark.anyio


async def test_scope_has_what_the_specification_wants() -> None:
    scopes: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    fields = ("Sec-WebSocket-Protocol: a, b", "X-Word: é", "X-Word: two")
    async with serve(app, root_path="/root") as port, open_socket(port, *fields) as (client, _):
        peername = client.writer.get_extra_info("sockname")
    (scope,) = scopes
    headers = scope.pop("headers")
    assert headers[0] == (b"host", b"test")
    assert headers[-2:] == [(b"x-word", "é".encode("latin-1")), (b"x-word", b"two")]
    extensions = scope.pop("extensions")
    assert set(extensions) == {"websocket.http.response", SOCKET_EXTENSION}
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "server": ("127.0.0.1", port),
        "client": peername,
        "root_path": "/root",
        "path": "/root/chat",
        "raw_path": b"/root/chat",
        "query_string": b"a=1",
        "subprotocols": ["a", "b"],
        "state": {},
    }


async def test_accepting_names_subprotocol_and_headers() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "b", "headers": [(b"x-room", b"blue")]})

    async with serve(app) as port, open_socket(port, "Sec-WebSocket-Protocol: a, b") as (client, head):
        assert "\r\nsec-websocket-protocol: b\r\n" in head
        assert "\r\nx-room: blue\r\n" in head
        # An application that has nothing more to say has closed.
        assert await client.read_frame() == (FIN | CLOSE, (1000).to_bytes(2))


@pytest.mark.parametrize("field", [(b"x-room", b"blue\r\nset-cookie: a=1"), (b"x room", b"blue")])
async def test_header_that_would_split_the_answer_is_never_sent(
    field: tuple[bytes, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "headers": [field]})

    async with serve(app) as port, open_socket(port) as (_, head):
        assert head.startswith("HTTP/1.1 500 Internal Server Error\r\n")
        assert "set-cookie" not in head
    assert f"The header field {field[0]!r} cannot be sent" in caplog.text


Sends = Callable[[Send], Awaitable[None]]


async def refuse_plainly(send: Send) -> None:
    """Refuse as every server lets an application."""
    await send({"type": "websocket.close"})


async def refuse_whole(send: Send) -> None:
    """Refuse with a whole answer."""
    await send({"type": "websocket.http.response.start", "status": 451, "headers": [(b"x-why", b"law")]})
    await send({"type": "websocket.http.response.body", "body": b"not today"})


async def refuse_in_parts(send: Send) -> None:
    """Refuse with an answer of unknown length."""
    await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"today"})


async def crash(send: Send) -> None:
    """Fails."""
    raise RuntimeError("broken")


async def return_at_once(send: Send) -> None:
    """Say nothing at all."""


@pytest.mark.parametrize(
    ("refuse", "status", "field", "body"),
    [
        (refuse_plainly, 403, "content-length: 0", b""),
        (refuse_whole, 451, "content-length: 9", b"not today"),
        (refuse_in_parts, 503, "connection: close", b"not today"),
        (crash, 500, "content-length: 21", b"Internal Server Error"),
        (return_at_once, 500, "content-length: 21", b"Internal Server Error"),
    ],
)
async def test_handshake_is_refused(refuse: Sends, status: int, field: str, body: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(send)

    async with serve(app) as port, open_socket(port) as (client, head):
        assert head.startswith(f"HTTP/1.1 {status} ")
        assert f"\r\n{field}\r\n" in head
        assert await client.read_rest() == body


@pytest.mark.parametrize(
    ("left_out", "instead", "status", "problem"),
    [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426, b"got `8`"),
        ("Sec-WebSocket-Version: 13", "X: y", 426, b"got ``"),
        (HANDSHAKE[-1], "Sec-WebSocket-Key: c2hvcnQ=", 400, b"`Sec-WebSocket-Key`"),
        (HANDSHAKE[-1], "Sec-WebSocket-Key: no base64", 400, b"`Sec-WebSocket-Key`"),
        (HANDSHAKE[-1], f"{HANDSHAKE[-1]}\r\n{HANDSHAKE[-1]}", 400, b"`Sec-WebSocket-Key`"),
        (HANDSHAKE[0], "POST /chat HTTP/1.1", 400, b"got POST"),
        ("Host: test", "X: y", 400, b"`Host`"),
    ],
)
async def test_request_that_is_no_handshake_never_reaches_the_application(
    left_out: str, instead: str, status: int, problem: bytes
) -> None:
    async with serve(echo) as port, open_connection(port) as client:
        client.writer.write(write_head([instead if line == left_out else line for line in HANDSHAKE]))
        head = await client.read_head()
        assert head.startswith(f"HTTP/1.1 {status} ")
        assert ("sec-websocket-version: 13" in head) == (status == 426)
        assert problem in await client.read_rest()


@pytest.mark.parametrize(
    ("before", "message", "expected"),
    [
        ([], "websocket.send", "`websocket.accept`, `websocket.close` or `websocket.http.response.start`"),
        (["websocket.accept"], "websocket.accept", "`websocket.send` or `websocket.close`"),
        (["websocket.http.response.start"], "websocket.accept", "`websocket.http.response.body`"),
    ],
)
async def test_message_out_of_turn_says_what_was_expected(before: list[str], message: str, expected: str) -> None:
    problems: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for kind in before:
            await send({"type": kind, "status": 403})
        try:
            await send({"type": message, "text": "x"})
        except RuntimeError as error:
            problems.append(str(error))

    async with serve(app) as port, open_connection(port) as client:
        client.writer.write(write_head())
        await poll(lambda: bool(problems))
    assert problems == [f"Expected {expected}, got `{message}`."]


async def test_bytes_that_come_with_the_handshake_are_read() -> None:
    accept = asyncio.Event()
    app = Recorder()

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await accept.wait()
        await app(scope, receive, send)

    async with serve(late) as port, open_connection(port) as client:
        client.writer.write(write_head())
        await asyncio.sleep(0.05)
        # The application has not accepted yet.
        client.writer.write(write_masked(FIN | TEXT, b"one") + write_masked(FIN | TEXT, b"two")[:3])
        await asyncio.sleep(0.05)
        assert app.messages == []
        accept.set()
        assert (await client.read_head()).startswith("HTTP/1.1 101 ")
        client.writer.write(write_masked(FIN | TEXT, b"two")[3:])
        await app.reach(lambda: len(app.messages) == 2)
        assert app.messages == ["one", "two"]


async def test_client_that_leaves_during_the_handshake_is_noticed() -> None:
    codes: list[int] = []
    asked = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        asked.set()
        codes.append((await receive())["code"])

    async with serve(app) as port:
        async with open_connection(port) as client:
            client.writer.write(write_head())
            await asyncio.wait_for(asked.wait(), PATIENCE)
        await poll(lambda: codes == [1006])


async def test_connections_are_limited() -> None:
    async with serve(echo, limit_concurrency=2) as port:
        async with (
            open_socket(port) as (_, first),
            open_socket(port) as (_, second),
            open_socket(port) as (_, third),
        ):
            statuses = [head.split()[1] for head in (first, second, third)]
        assert statuses == ["101", "101", "503"]
        async with asyncio.timeout(PATIENCE):
            # Again and again: the server hears later that they have left.
            while statuses[-1] != "101":
                async with open_socket(port) as (_, head):
                    statuses.append(head.split()[1])
        assert {*statuses[3:-1]} <= {"503"}
