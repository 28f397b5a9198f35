"""A WebSocket client that sends any bytes at all, and a server for it to send them to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import uvicorn
from websockets.utils import apply_mask

from nitro_py.event import Receive, Scope, Send
from nitro_py.mount import ASGIApplication
from nitro_py.server.websocket.protocol import WebSocketProtocol

MASK = b"\x12\x34\x56\x78"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    "GET /chat?a=1 HTTP/1.1",
    "Host: test",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY}",
)
# How long anything may take, in seconds.
PATIENCE = 30.0


def write_masked(first: int, payload: bytes = b"", *, mask: bytes = MASK) -> bytes:
    """Write a frame as a client does."""
    length = len(payload)
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 1 << 16:
        head = bytes((first, 0x80 | 126)) + length.to_bytes(2)
    else:
        head = bytes((first, 0x80 | 127)) + length.to_bytes(8)
    return head + mask + apply_mask(payload, mask)


def write_head(lines: Iterable[str] = HANDSHAKE) -> bytes:
    """Write the head of a request."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class RawClient:
    """A client that sends bytes, and reads frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, first: int, payload: bytes = b"") -> None:
        """Send a frame."""
        self.writer.write(write_masked(first, payload))

    async def read_head(self) -> str:
        """Read the answer to the handshake, without a body."""
        async with asyncio.timeout(PATIENCE):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")

    async def read_frame(self) -> tuple[int, bytes]:
        """Read a frame: its first byte, and its payload."""
        async with asyncio.timeout(PATIENCE):
            first, second = await self.reader.readexactly(2)
            if second >= 126:
                second = int.from_bytes(await self.reader.readexactly(2 if second == 126 else 8))
            return first, await self.reader.readexactly(second)

    async def read_rest(self) -> bytes:
        """Read until the server closes the connection."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()


@asynccontextmanager
async def serve(app: ASGIApplication, **settings: Any) -> AsyncIterator[int]:
    """Run an application on uvicorn with our protocol, in this loop, and return the port."""
    defaults = {"ws": WebSocketProtocol, "lifespan": "off", "log_config": None, "timeout_graceful_shutdown": 1}
    config = uvicorn.Config(app, **cast(Any, defaults | settings))
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve([listener]))
    try:
        async with asyncio.timeout(PATIENCE):
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def open_connection(port: int, context: ssl.SSLContext | None = None) -> AsyncIterator[RawClient]:
    """Open a connection, and say nothing yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1 << 24)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def open_socket(
    port: int, *fields: str, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[RawClient, str]]:
    """Open a socket, and return the head of the answer too."""
    async with open_connection(port, context) as client:
        client.writer.write(write_head([*HANDSHAKE, *fields]))
        yield client, await client.read_head()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send back what is received, as an ASGI application."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
