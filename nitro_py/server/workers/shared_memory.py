"""Shared memory in which the workers of one port leave their snapshots for each other."""

from __future__ import annotations

import asyncio
import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from typing import Final

from nitro_py.runtime.metrics.snapshot import Snapshot


def make_memory(name: str, size: int) -> int:
    """Make memory of zeros, and return its descriptor, for workers to inherit.

    Args:
        name: What the system shows.
        size: In bytes; what nobody writes takes none.
    """
    if hasattr(os, "memfd_create"):
        # Not a file: a container may have no place to write.
        descriptor = os.memfd_create(name)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


_ENTRY: Final = struct.Struct("=q")
# Stands where no worker serves.
_NOBODY: Final = -1


def make_shares(count: int) -> int:
    """Make the memory for a number of workers, and return its descriptor, for them to inherit."""
    descriptor = make_memory("nitro-shares", count * _ENTRY.size)
    for place in range(count):
        leave_shares(descriptor, place)
    return descriptor


def leave_shares(descriptor: int, place: int) -> None:
    """Note that a worker is gone, so that nobody lets it go first."""
    os.pwrite(descriptor, _ENTRY.pack(_NOBODY), place * _ENTRY.size)


class ConnectionCounts:
    """The memory as one worker sees it.

    Args:
        descriptor: What `make_shares` gave to the parent.
        place: The worker's own number, counted from 0.

    Example:
        >>> memory = make_shares(3)
        >>> first, second = ConnectionCounts(memory, 0), ConnectionCounts(memory, 1)
        >>> first.note(2), second.note(1), first.is_ahead(), second.is_ahead()
        (None, None, True, False)
    """

    def __init__(self, descriptor: int, place: int) -> None:
        self._counts = memoryview(mmap.mmap(descriptor, 0)).cast("q")
        self._place = place

    def note(self, count: int) -> None:
        """Tell the others how many connections this worker has."""
        self._counts[self._place] = count

    def is_ahead(self) -> bool:
        """Return whether another worker has fewer connections than this one."""
        own = self._counts[self._place]
        return any(_NOBODY < count < own for count in self._counts)


# The room of each worker in bytes, some 5,000 series.
ROOM: Final = 1024 * 1024
# How often a worker leaves its figures, in seconds.
INTERVAL: Final = 1.0
# The length of what follows, and its CRC-32: who reads may come while somebody writes.
_HEAD: Final = struct.Struct("=II")
_TRIES: Final = 5


def make_board(count: int) -> int:
    """Make the memory for a number of workers, and return its descriptor, for them to inherit."""
    return make_memory("nitro-metrics", count * ROOM)


class SharedSnapshots:
    """The memory as one worker sees it.

    The figures of a worker that has died or hangs stay as they were, so that no total falls before its successor
    begins anew.

    Args:
        descriptor: What `make_board` gave to the parent.
        place: The worker's own number, counted from 0.
    """

    def __init__(self, descriptor: int, place: int) -> None:
        self.place = place
        self._descriptor = descriptor
        self._count = os.fstat(descriptor).st_size // ROOM

    def write(self, snapshot: Snapshot) -> None:
        """Leave this worker's figures; more than there is room for are left out."""
        data = snapshot.to_json()
        if len(data) <= ROOM - _HEAD.size:
            os.pwrite(self._descriptor, _HEAD.pack(len(data), zlib.crc32(data)) + data, self.place * ROOM)

    def read_others(self) -> dict[int, Snapshot]:
        """Return the figures of the other workers, of those that have left any."""
        read = {place: self._read(place) for place in range(self._count) if place != self.place}
        return {place: snapshot for place, snapshot in read.items() if snapshot is not None}

    def keep(self, take: Callable[[], Snapshot]) -> None:
        """Leave the figures again and again, as long as the event loop runs."""
        self.write(take())
        asyncio.get_running_loop().call_later(INTERVAL, self.keep, take)

    def _read(self, place: int) -> Snapshot | None:
        for _ in range(_TRIES):
            length, checksum = _HEAD.unpack(os.pread(self._descriptor, _HEAD.size, place * ROOM))
            data = os.pread(self._descriptor, length, place * ROOM + _HEAD.size)
            if length and zlib.crc32(data) == checksum:
                return Snapshot.from_json(data)
        return None
