"""Closing connections that nothing comes from any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class IdleTimer:
    """Closes a connection that has been idle for a time; one timer serves all of a connection's requests.

    Args:
        loop: The event loop.
        seconds: How long the connection may be idle.
        close: What closes it.
    """

    __slots__ = ("_close", "_loop", "_seconds", "_since", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, close: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._close = close
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Notes that the connection is idle from now on."""
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def stop(self) -> None:
        """Notes that the connection is in use."""
        self._since = None

    def cancel(self) -> None:
        """Forgets the connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._since is None:
            return
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._close()
