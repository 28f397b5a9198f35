"""How many connections each worker of one port has, in memory that they share."""

from __future__ import annotations

import mmap
import os
import struct
from typing import Final

from nitro_py.runtime.memory import make_memory

_ENTRY: Final = struct.Struct("=q")
# Stands where no worker serves.
_NOBODY: Final = -1


def make_shares(count: int) -> int:
    """Makes the memory for a number of workers, and gives its descriptor, for them to inherit."""
    descriptor = make_memory("nitro-shares", count * _ENTRY.size)
    for place in range(count):
        leave_shares(descriptor, place)
    return descriptor


def leave_shares(descriptor: int, place: int) -> None:
    """Notes that a worker is gone, so that nobody lets it go first."""
    os.pwrite(descriptor, _ENTRY.pack(_NOBODY), place * _ENTRY.size)


class Shares:
    """Is the memory as one worker sees it.

    Args:
        descriptor: What `make_shares` gave to the parent.
        place: The worker's own number, counted from 0.

    Example:
        >>> memory = make_shares(3)
        >>> first, second = Shares(memory, 0), Shares(memory, 1)
        >>> first.note(2), second.note(1), first.is_ahead(), second.is_ahead()
        (None, None, True, False)
    """

    def __init__(self, descriptor: int, place: int) -> None:
        self._counts = memoryview(mmap.mmap(descriptor, 0)).cast("q")
        self._place = place

    def note(self, count: int) -> None:
        """Tells the others how many connections this worker has."""
        self._counts[self._place] = count

    def is_ahead(self) -> bool:
        """Says whether another worker has fewer connections than this one."""
        own = self._counts[self._place]
        return any(_NOBODY < count < own for count in self._counts)
