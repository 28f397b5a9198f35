"""One socket's life: open, then its messages in order and one at a time, close last."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from nitro_py.encoding import Frame
from nitro_py.peer import Peer
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.hooks import run_hook
from nitro_py.websocket import CloseDetails, WebSocketHandler, settle


class Membership(Protocol):
    """Is where a connection announces its peer and takes it away."""

    def add(self, peer: Peer) -> None:
        """Makes a peer known."""

    def remove(self, peer: Peer) -> None:
        """Forgets a peer."""


class Connection:
    """Runs a peer's hooks, in the order that the contract promises.

    The adapter calls `start` once the socket is accepted, `feed` for each message, `lost` once the socket is
    gone, and then waits for `finished`. Hooks run in a task of their own, so nothing that happens to the socket
    can cancel them.

    Args:
        peer: The peer.
        handler: The route's hooks.
        hub: Where the peer is announced.
        route: The route's path, for the log.
        max_queue: How many messages may wait for their hook; past it `feed` says to stop reading.
        counters: Counts the connection and its messages.
    """

    def __init__(
        self,
        peer: Peer,
        handler: WebSocketHandler,
        hub: Membership,
        *,
        route: str,
        max_queue: int,
        counters: Counters,
    ) -> None:
        self.peer = peer
        self._handler = handler
        self._hub = hub
        self._route = route
        self._max_queue = max_queue
        self._counters = counters
        self._queue: deque[Frame] = deque()
        self._room = asyncio.Event()
        self._finished = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._opened = False
        self._failed = False
        self._details: CloseDetails | None = None

    def start(self) -> None:
        """Announces the peer and runs its open hook."""
        self._counters.sockets_opened += 1
        self._hub.add(self.peer)
        self._wake()

    def feed(self, data: Frame) -> bool:
        """Queues a message for the message hook; false asks to stop reading until `wait_for_room` returns."""
        self._counters.messages_received += 1
        if self._details is not None or self._failed or self._handler.message is None:
            return True
        self._queue.append(data)
        self._wake()
        if len(self._queue) < self._max_queue:
            return True
        self._room.clear()
        return False

    async def wait_for_room(self) -> None:
        """Waits until the queue takes messages again."""
        await self._room.wait()

    def lost(self, details: CloseDetails) -> None:
        """Notes that the socket is gone: what came before is still handled, then `close` runs."""
        if self._details is None:
            self._counters.sockets_closed += 1
            self._details = details
            self._hub.remove(self.peer)
            self._wake()

    async def finished(self) -> None:
        """Waits until the last hook has run."""
        await self._finished.wait()

    async def shut_down(self) -> None:
        """Closes the socket with 1001, as a server that stops must, and runs the close hook with it."""
        await self.peer.close(1001, "The server stops.")
        self.lost(CloseDetails(1001, "The server stops."))

    def _wake(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        if not self._opened:
            self._opened = True
            if self._handler.open is not None:
                await self._guard(self._call_open)
        while self._queue:
            data = self._queue.popleft()
            self._room.set()
            await self._guard(partial(self._call_message, data))
        if self._details is not None:
            await self._guard(partial(self._handler.call_close, self.peer, self._details))
            self._finished.set()
            return
        self._task = None

    async def _call_open(self) -> None:
        assert self._handler.open is not None
        await settle(self._handler.open(self.peer))

    async def _call_message(self, data: Frame) -> None:
        assert self._handler.message is not None
        await settle(self._handler.message(self.peer, self._handler.read(data, self.peer)))

    async def _guard(self, call: Callable[[], Awaitable[None]]) -> None:
        if not await run_hook(call, self._handler, self.peer, self._route):
            self._failed = True
            self._queue.clear()
            self._room.set()
