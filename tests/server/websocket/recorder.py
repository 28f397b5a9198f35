"""An application that takes sockets over and records what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nitro_py.event import Receive, Scope, Send
from nitro_py.runtime.asgi.extensions import SOCKET_EXTENSION
from nitro_py.runtime.counters import Counters
from nitro_py.websocket import CloseDetails
from tests.server.websocket.raw import PATIENCE


class Recorder:
    """An ASGI application that takes the socket over, and records what comes.

    Args:
        room: How many messages it takes before it asks for a pause.
        limit: The most bytes that may wait for the client.
    """

    def __init__(self, room: int = 1000, limit: int = 1 << 20) -> None:
        self.on_resume: Callable[[], None] | None = None
        self.messages: list[Any] = []
        self.lost_with: list[CloseDetails] = []
        self.is_gone = False
        self.room = room
        self.counters = Counters()
        self.channel: Any = None
        self._limit = limit
        self._changed = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Accept, takes the socket over, and returns."""
        direct = scope["extensions"][SOCKET_EXTENSION]
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        self.channel = direct.open_channel(limit=self._limit, counters=self.counters)
        direct.attach(self)

    def feed(self, data: Any) -> bool:
        """Record a message."""
        self.messages.append(data)
        self._changed.set()
        return len(self.messages) < self.room

    def on_close(self, details: CloseDetails) -> None:
        """Record the end; the contract lets it be told more than once."""
        self.lost_with.append(details)
        self._changed.set()

    def on_connection_lost(self) -> None:
        """Record that nothing is left."""
        self.is_gone = True
        self._changed.set()

    async def reach(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def end(self) -> CloseDetails:
        """Wait for the end, and return how it was told first."""
        await self.reach(lambda: bool(self.lost_with))
        return self.lost_with[0]


async def poll(condition: Callable[[], bool]) -> None:
    """Wait for a condition that no event announces."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
