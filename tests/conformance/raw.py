"""A WebSocket client that answers nothing by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

TEXT, CLOSE, PING = 0x1, 0x8, 0x9


class RawSocket:
    """A client that reads frames, and leaves pings and closes unanswered."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def read_frame(self) -> tuple[int, bytes] | None:
        """Return the next frame's opcode and payload, short ones only; `None` at the end of the connection."""
        async with asyncio.timeout(60):
            try:
                first, second = await self._reader.readexactly(2)
                return first & 0x0F, await self._reader.readexactly(second & 0x7F)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None


@asynccontextmanager
async def open_raw(url: str, path: str) -> AsyncIterator[RawSocket]:
    """Open a socket to a server at a URL."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    fields = [
        f"GET {path} HTTP/1.1",
        f"Host: {place.netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    writer.write("\r\n".join([*fields, "", ""]).encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield RawSocket(reader)
    finally:
        writer.close()
