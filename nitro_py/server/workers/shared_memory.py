"""Shared memory of the workers of one port: how many connections each has, and a snapshot of its metrics."""

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

_COUNT: Final = struct.Struct("=q")
# The count in the place of a worker that does not serve.
_NO_WORKER: Final = -1

# The most that the snapshot of a worker takes, in bytes: some 5,000 series.
MAX_SNAPSHOT: Final = 1024 * 1024
# How often a worker writes its snapshot, in seconds.
INTERVAL: Final = 1.0
# The length of the snapshot behind it, and its CRC-32: it may be read while it is written.
_HEAD: Final = struct.Struct("=II")
# How often a snapshot that was read while it was written is read again.
_TRIES: Final = 5


def make_connection_counts(workers: int) -> int:
    """Make the memory for the connection counts of some workers, and return its descriptor for them to inherit."""
    descriptor = _make_memory("nitro-connections", workers * _COUNT.size)
    for place in range(workers):
        clear_connection_count(descriptor, place)
    return descriptor


def clear_connection_count(descriptor: int, place: int) -> None:
    """Remove the count of a worker that has ended, so that the others do not wait for it to accept.

    Args:
        descriptor: What `make_connection_counts` returned.
        place: The worker's number.
    """
    os.pwrite(descriptor, _COUNT.pack(_NO_WORKER), place * _COUNT.size)


def make_snapshots(workers: int) -> int:
    """Make the memory for the snapshots of some workers, and return its descriptor for them to inherit."""
    return _make_memory("nitro-metrics", workers * MAX_SNAPSHOT)


class ConnectionCounts:
    """How many connections each worker has, as one of them sees it.

    Args:
        descriptor: What `make_connection_counts` returned in the parent.
        place: The worker's own number, counted from 0.

    Example:
        >>> memory = make_connection_counts(3)
        >>> first, second = ConnectionCounts(memory, 0), ConnectionCounts(memory, 1)
        >>> first.set_own(2), second.set_own(1), first.is_ahead(), second.is_ahead()
        (None, None, True, False)
    """

    def __init__(self, descriptor: int, place: int) -> None:
        self._counts = memoryview(mmap.mmap(descriptor, 0)).cast("q")
        self._place = place

    def set_own(self, count: int) -> None:
        """Write how many connections this worker has."""
        self._counts[self._place] = count

    def is_ahead(self) -> bool:
        """Return whether another worker has fewer connections than this one."""
        own = self._counts[self._place]
        return any(_NO_WORKER < count < own for count in self._counts)


class SharedSnapshots:
    """The snapshot of each worker's metrics, as one of them sees it.

    The snapshot of a worker that has ended or hangs stays as it was, so that no total falls before its successor
    writes the first one.

    Args:
        descriptor: What `make_snapshots` returned in the parent.
        place: The worker's own number, counted from 0.
    """

    def __init__(self, descriptor: int, place: int) -> None:
        self.place = place
        self._descriptor = descriptor
        self._workers = os.fstat(descriptor).st_size // MAX_SNAPSHOT

    def write(self, snapshot: Snapshot) -> None:
        """Write this worker's snapshot; one that is too large is left out."""
        data = snapshot.to_json()
        if len(data) <= MAX_SNAPSHOT - _HEAD.size:
            os.pwrite(self._descriptor, _HEAD.pack(len(data), zlib.crc32(data)) + data, self.place * MAX_SNAPSHOT)

    def read_others(self) -> dict[int, Snapshot]:
        """Return the snapshots of the other workers that have written one, by the workers' numbers."""
        read = {place: self._read(place) for place in range(self._workers) if place != self.place}
        return {place: snapshot for place, snapshot in read.items() if snapshot is not None}

    def keep(self, take: Callable[[], Snapshot]) -> None:
        """Write a new snapshot each `INTERVAL`, as long as the event loop runs.

        Args:
            take: Returns the snapshot.
        """
        self.write(take())
        asyncio.get_running_loop().call_later(INTERVAL, self.keep, take)

    def _read(self, place: int) -> Snapshot | None:
        for _ in range(_TRIES):
            length, checksum = _HEAD.unpack(os.pread(self._descriptor, _HEAD.size, place * MAX_SNAPSHOT))
            data = os.pread(self._descriptor, length, place * MAX_SNAPSHOT + _HEAD.size)
            if length and zlib.crc32(data) == checksum:
                return Snapshot.from_json(data)
        return None


def _make_memory(name: str, size: int) -> int:
    """Make memory of zeros, and return its descriptor.

    Args:
        name: The name that the system shows.
        size: The size in bytes; pages that are never written take no memory.
    """
    if hasattr(os, "memfd_create"):
        # Not a file: a container may have no place to write.
        descriptor = os.memfd_create(name)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
