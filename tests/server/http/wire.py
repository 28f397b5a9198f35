"""An HTTP client that sends the bytes it is told to, and a server for one application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from nitro_py.mount import ASGIApplication
from nitro_py.runtime.asgi.extensions import find_direct_send
from nitro_py.server.http.protocol import HttpProtocol

PATIENCE = 30.0
HELLO = ("GET /hello HTTP/1.1", "Host: x")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it stood on the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str | None:
        """Return the one value of a field, if it is there."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, values
        return values[0] if values else None


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *lines: str, body: bytes = b"") -> None:
        """Send a head's lines and what follows."""
        self.writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1") + body)

    async def read(self, method: str = "GET") -> Answer:
        """Read one answer, by the rules of RFC 9112, section 6.3."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
            version, status, _ = first.split(" ", 2)
            assert version == "HTTP/1.1"
            headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
            answer = Answer(int(status), headers, b"")
            if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
                return answer
            return Answer(answer.status, headers, await self._read_body(answer))

    async def read_end(self) -> bytes:
        """Read what comes until the server closes the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def _read_body(self, answer: Answer) -> bytes:
        length = answer.get("content-length")
        if answer.get("transfer-encoding") == "chunked":
            assert length is None
            body = bytearray()
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                assert await self.reader.readexactly(2) == b"\r\n"
            assert await self.reader.readexactly(2) == b"\r\n"
            return bytes(body)
        if length is not None:
            return await self.reader.readexactly(int(length))
        assert answer.get("connection") == "close"
        return await self.reader.read()


class Site:
    """A server for one application."""

    def __init__(self, port: int, state: ServerState, make_protocol: Callable[[], HttpProtocol]) -> None:
        self.port = port
        self.state = state
        self.make_protocol = make_protocol

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Wire]:
        """Open a connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Wire(reader, writer)
        finally:
            writer.close()


@asynccontextmanager
async def serve(app: ASGIApplication, **settings: Any) -> AsyncIterator[Site]:
    """Serve an application by our protocol, with settings of uvicorn's."""
    config = Config(app, http=HttpProtocol, log_config=None, **{"proxy_headers": False, **settings})
    config.load()
    state = ServerState()

    def make_protocol() -> HttpProtocol:
        return HttpProtocol(config, state, {})

    server = await asyncio.get_running_loop().create_server(make_protocol, "127.0.0.1", 0)
    try:
        yield Site(server.sockets[0].getsockname()[1], state, make_protocol)
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        async with asyncio.timeout(PATIENCE):
            while state.connections or state.tasks:  # noqa: ASYNC110 - uvicorn's own sets send no event
                await asyncio.sleep(0.01)
        await server.wait_closed()


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what it was asked, by whole answers where the server takes them."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    content = json.dumps(
        {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "version": scope["http_version"],
            "body": body.decode(),
        }
    ).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await answer(scope, send, 200, headers, b"" if scope["method"] == "HEAD" else content)


async def answer(scope: Any, send: Any, status: int, headers: Any, body: bytes) -> None:
    """Answer, directly unless the path says otherwise."""
    direct = None if scope["path"].startswith("/plain") else find_direct_send(scope, send)
    if direct is None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    else:
        direct.answer(status, headers, body)
