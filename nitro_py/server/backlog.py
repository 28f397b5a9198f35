"""What connections may take of the event loop in one turn, when they have sent more than a slice of work.

uvloop hands over up to 8 MiB of a connection in a turn, and 1 MiB of one-byte messages is 150,000 calls of a hook:
every other client would wait for all of them. So a connection reads for a `SLICE`, and lets the rest wait for its
next turn. One that keeps up never comes here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Final, Protocol

# How long a connection reads at a time, and how long all those that have more take in a turn, in seconds.
SLICE: Final = 0.0005
TURN: Final = 0.002


class BacklogOwner(Protocol):
    """A connection that has more to read than a slice."""

    def read_backlog(self) -> None:
        """Read for a slice; the connection adds itself again if there is more."""


class Backlogs:
    """The connections of an event loop that wait for their next slice, in turn.

    Args:
        loop: The event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: deque[BacklogOwner] = deque()

    def add(self, owner: BacklogOwner) -> None:
        """Let a connection read once more, in a later turn of the loop."""
        if not self._waiting:
            self.loop.call_soon(self._run)
        self._waiting.append(owner)

    def _run(self) -> None:
        # Not the loop's clock, which stands still within a turn of uvloop.
        end = monotonic() + TURN
        turns, self._waiting = self._waiting, deque()
        try:
            while turns and monotonic() < end:
                turns.popleft().read_backlog()
        finally:
            # Those that have read for a slice stand behind those that have not.
            planned = bool(self._waiting)
            turns.extend(self._waiting)
            self._waiting = turns
            if turns and not planned:
                self.loop.call_soon(self._run)


def find_backlogs(loop: asyncio.AbstractEventLoop) -> Backlogs:
    """Return a loop's backlogs."""
    global _backlogs
    if _backlogs is None or _backlogs.loop is not loop:
        _backlogs = Backlogs(loop)
    return _backlogs


_backlogs: Backlogs | None = None
