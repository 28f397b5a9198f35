"""Looking after idle connections with one timer for all of them."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

# Into how many parts the interval is divided: a connection's first look comes up to one part early.
SPOKES: Final = 16


class Watched(Protocol):
    """Is looked after."""

    def check_alive(self) -> None:
        """Ping a connection that was silent since the last look, or drop it when a ping brought no answer."""


class KeepaliveWheel:
    """Looks at each connection once in an interval.

    Connections are spread over the spokes of a wheel by when they came, and each tick looks at one slot: the
    timers are as few with 10,000 connections as with one, and so are the pings of a moment.

    Args:
        loop: The event loop.
        interval: How long one turn takes, in seconds.
    """

    __slots__ = ("_loop", "_period", "_position", "_spokes", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float) -> None:
        self._loop = loop
        self._period = interval / SPOKES
        self._spokes: tuple[set[Watched], ...] = tuple(set() for _ in range(SPOKES))
        self._position = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: Watched) -> int:
        """Begin to look after a connection, and return its slot."""
        self._spokes[self._position].add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(self._period, self._tick)
        return self._position

    def remove(self, connection: Watched, slot: int) -> None:
        """Look no longer after a connection; a wheel without any stands still."""
        self._spokes[slot].discard(connection)

    def _tick(self) -> None:
        self._position = (self._position + 1) % SPOKES
        for connection in list(self._spokes[self._position]):
            connection.check_alive()
        self._timer = self._loop.call_later(self._period, self._tick) if any(self._spokes) else None
