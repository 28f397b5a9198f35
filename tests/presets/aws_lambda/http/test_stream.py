"""From an ASGI application's messages to a stream."""

from __future__ import annotations

import asyncio

import pytest

from nitro_presets.aws_lambda.http.stream import stream_answer
from nitro_presets.aws_lambda.lambda_runtime.response_stream import ResponseStream
from nitro_py.event import Receive, Scope, Send
from tests.presets.aws_lambda.http.project import Invoked, make_event

pytestmark = pytest.mark.anyio


async def test_application_that_stops_at_the_end_does_not_cut_it_short() -> None:
    taken = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n0\r\n\r\n")
        await asyncio.sleep(0.05)
        taken.set()
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"some"})

        await receive()
        answering = asyncio.create_task(answer())
        # As Starlette's responses do, which listen for the client's leaving.
        assert (await receive())["type"] == "http.disconnect"
        answering.cancel()
        await asyncio.wait([answering])

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    stream = ResponseStream(f"{host}:{port}", "/response")
    await stream_answer(application, make_event("function-url", "/"), Invoked()).produce(stream)
    assert taken.is_set()
    stream.close()
    server.close()
