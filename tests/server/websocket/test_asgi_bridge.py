"""Sockets that an application serves over plain `receive` and `send`."""

from __future__ import annotations

import asyncio

import pytest

from nitro_py.event import Receive, Scope, Send
from nitro_py.server.websocket.frames import BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, write_close
from tests.server.websocket.raw import (
    PATIENCE,
    echo,
    open_socket,
    serve,
)
from tests.server.websocket.recorder import poll

pytestmark = pytest.mark.anyio


async def test_application_receives_and_sends_over_plain_asgi() -> None:
    async with serve(echo) as port, open_socket(port) as (client, head):
        assert head.startswith("HTTP/1.1 101 Switching Protocols\r\n")
        assert "\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        client.send(FIN | TEXT, "grüße".encode())
        client.send(BINARY, b"a")
        client.send(FIN | PING, b"between")
        client.send(FIN | CONTINUATION, b"b")
        frames = [await client.read_frame() for _ in range(3)]
        # The server answers a ping by itself, and so before the application comes round.
        frames.remove((FIN | PONG, b"between"))
        assert frames == [(FIN | TEXT, "grüße".encode()), (FIN | BINARY, b"ab")]
        client.send(FIN | CLOSE, (3000).to_bytes(2) + b"bye")
        assert await client.read_rest() == write_close(3000, "")


async def test_state_is_each_sockets_own() -> None:
    found: list[dict[str, object]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(dict(scope["state"]))
        scope["state"]["user"] = "ada"
        await echo(scope, receive, send)

    async with serve(app) as port:
        for _ in range(2):
            async with open_socket(port):
                pass
        await poll(lambda: len(found) == 2)
    assert found == [{}, {}]


async def test_sending_to_a_client_that_left_is_an_os_error() -> None:
    caught: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        try:
            await send({"type": "websocket.send", "text": "late"})
        except OSError as error:
            caught.append(error)

    async with serve(app) as port:
        async with open_socket(port):
            pass
        await poll(lambda: bool(caught))


async def test_application_that_fails_closes_with_1011() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        raise RuntimeError("broken")

    async with serve(app) as port, open_socket(port) as (client, _):
        assert await client.read_frame() == (FIN | CLOSE, (1011).to_bytes(2) + b"Internal error")


async def test_plain_application_is_not_flooded() -> None:
    go = asyncio.Event()
    received: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await go.wait()
        while (message := await receive())["type"] == "websocket.receive":
            received.append(message["text"][:4].strip())

    async with serve(app) as port, open_socket(port) as (client, _):
        for number in range(600):
            client.send(FIN | TEXT, str(number).encode().ljust(100_000))
        sending = asyncio.create_task(client.writer.drain())
        await asyncio.sleep(0.2)
        assert not sending.done()
        go.set()
        await asyncio.wait_for(sending, PATIENCE)
        client.send(FIN | CLOSE)
        await client.read_rest()
        await poll(lambda: len(received) == 600)
    assert received == [str(number) for number in range(600)]


async def test_server_that_stops_closes_plain_applications_with_1012() -> None:
    codes: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        codes.append((await receive())["code"])

    async with serve(app) as port:
        context = open_socket(port)
        client, _ = await context.__aenter__()
    assert await client.read_rest() == write_close(1012, "")
    assert codes == [1012]
    await context.__aexit__(None, None, None)
