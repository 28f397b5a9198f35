"""A broker in this process and its backplane, for topics between several apps of one test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from nitro_py.backplane import Outgoing, Receive
from nitro_py.brokers.connection import ConnectionLoss
from nitro_py.errors import BackplaneError


class MemoryBroker:
    """A broker that tests can stop and start.

    Example:
        broker = MemoryBroker()
        first, second = (App(folder, manifest, backplane=broker.make_backplane()) for _ in range(2))
    """

    def __init__(self) -> None:
        self.running = True
        self.subscriptions: dict[str, set[MemoryConnection]] = {}
        self.connections: set[MemoryConnection] = set()

    def make_backplane(self, prefix: str = "test") -> MemoryBackplane:
        """Return the backplane of one process."""
        return MemoryBackplane(self, prefix)

    def stop(self) -> None:
        """Lose every connection, and take none until `start`."""
        self.running = False
        for connection in list(self.connections):
            connection.lose("the broker stopped")

    def start(self) -> None:
        """Take connections again."""
        self.running = True


class MemoryBackplane:
    """The backplane of a broker in this process.

    Args:
        broker: The broker.
        prefix: The beginning of the app's topics at the broker, which keeps apps apart.
    """

    def __init__(self, broker: MemoryBroker, prefix: str) -> None:
        self._broker = broker
        self._prefix = prefix

    async def connect(self, receive: Receive) -> MemoryConnection:
        """Open a connection.

        Raises:
            BackplaneError: The broker was stopped.
        """
        if not self._broker.running:
            raise BackplaneError("The broker is stopped.")
        return MemoryConnection(self._broker, f"{self._prefix}:", receive)


class MemoryConnection:
    """One connection, until it is closed or the broker stops."""

    max_size: int | None = None

    def __init__(self, broker: MemoryBroker, prefix: str, receive: Receive) -> None:
        self._broker = broker
        self._prefix = prefix
        self._receive = receive
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self._loss = ConnectionLoss()
        self._reading = asyncio.create_task(self._read())
        broker.connections.add(self)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages to all that subscribe, this connection included."""
        self._loss.check()
        for topic, data in messages:
            for connection in self._broker.subscriptions.get(self._prefix + topic, ()):
                connection._incoming.put_nowait(data)

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Ask for topics."""
        self._loss.check()
        for topic in topics:
            self._broker.subscriptions.setdefault(self._prefix + topic, set()).add(self)

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Give topics up."""
        self._loss.check()
        for topic in topics:
            self._broker.subscriptions.get(self._prefix + topic, set()).discard(self)

    async def wait_lost(self) -> None:
        """Wait until the broker stops."""
        await self._loss.wait()

    async def close(self) -> None:
        """End the connection."""
        self.lose("it was closed")

    def lose(self, reason: str) -> None:
        """End the connection, for a reason."""
        self._reading.cancel()
        self._broker.connections.discard(self)
        for connections in self._broker.subscriptions.values():
            connections.discard(self)
        self._loss.note(reason)

    async def _read(self) -> None:
        while True:
            await self._receive(await self._incoming.get())
