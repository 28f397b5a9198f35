"""Pings to idle WebSocket connections (RFC 6455, section 5.5.2), with one timer for all of them."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

# Into how many parts the interval is divided: a connection's first check comes up to one part early.
SLOTS: Final = 16


class CheckedConnection(Protocol):
    """A connection whose client is pinged when it is silent."""

    def check_alive(self) -> None:
        """Ping a client that was silent since the last check, and drop one that has not answered a ping."""


class KeepaliveWheel:
    """A timer wheel that checks each connection once in an interval.

    Connections are spread over the wheel's slots by when they came, and each tick checks one slot: 10,000
    connections need one timer, as one connection does (row `idle`), and their pings do not all go out at once.

    Args:
        loop: The event loop.
        interval: How long one turn of the wheel takes, in seconds.
    """

    __slots__ = ("_loop", "_period", "_position", "_slots", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float) -> None:
        self._loop = loop
        self._period = interval / SLOTS
        self._slots: tuple[set[CheckedConnection], ...] = tuple(set() for _ in range(SLOTS))
        self._position = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: CheckedConnection) -> int:
        """Check a connection from now on, and return its slot."""
        self._slots[self._position].add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(self._period, self._tick)
        return self._position

    def remove(self, connection: CheckedConnection, slot: int) -> None:
        """Check a connection no longer; a wheel without connections stands still."""
        self._slots[slot].discard(connection)

    def _tick(self) -> None:
        self._position = (self._position + 1) % SLOTS
        for connection in list(self._slots[self._position]):
            connection.check_alive()
        self._timer = self._loop.call_later(self._period, self._tick) if any(self._slots) else None
