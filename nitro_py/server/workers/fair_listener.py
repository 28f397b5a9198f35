"""Accepting from a socket that other workers accept from too, so that all have about as many connections."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from nitro_py.server.workers.shared_memory import ConnectionCounts

logger = logging.getLogger("nitro_py.workers")

# How long a worker that has more connections than another leaves a new one to the others, in seconds. If they are
# busy, or hang, it takes the connection itself.
HEAD_START = 0.002
# How many connections a worker accepts at once after it has waited.
BATCH = 16
# How long to wait when no more files can be opened, in seconds.
SHORTAGE_PAUSE = 0.5


class FairListener:
    """A listener that lets workers with fewer connections accept first.

    The kernel wakes all workers for a new connection, and the one that is idle the longest tends to win: without
    a rule, sockets that stay open for hours would gather in one process.

    Args:
        listener: The socket, bound and listening; it is not closed here.
        make_protocol: Returns the protocol of a new connection.
        count: Returns how many connections this worker has.
        counts: How many connections each worker has.
    """

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        count: Callable[[], int],
        counts: ConnectionCounts,
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._count = count
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._note()
        self._loop.add_reader(listener, self._on_readable)

    def close(self) -> None:
        """Accept no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._listener)

    def _note(self) -> None:
        self._counts.set_own(self._count() + len(self._opening))

    def _on_readable(self) -> None:
        """Accept a new connection, or leave it to others for a moment."""
        self._note()
        if self._counts.is_ahead():
            self._pause(HEAD_START)
        else:
            self._accept()

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._timer = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener, self._on_readable)
        for _ in range(BATCH):
            if not self._accept():
                return

    def _accept(self) -> bool:
        """Accept one connection, and return whether there was one."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            logger.error("No connection can be accepted: %s.", error.strerror)
            self._pause(SHORTAGE_PAUSE)
            return False
        connection.setblocking(False)
        task: asyncio.Task[object] = self._loop.create_task(open_connection(self._make_protocol, connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        self._note()
        return True


async def open_connection(make_protocol: Callable[[], asyncio.Protocol], connection: socket.socket) -> None:
    """Begin to serve a connection that was accepted.

    Args:
        make_protocol: Returns the connection's protocol.
        connection: The connection's socket, which does not block.
    """
    try:
        await asyncio.get_running_loop().connect_accepted_socket(make_protocol, connection)
    except OSError:
        # The client has left already.
        connection.close()
