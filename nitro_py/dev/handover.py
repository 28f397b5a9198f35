"""Clients' connections on their way from one run of the app to the next."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from nitro_py.server.workers.fair_listener import open_connection

# What goes along with a connection, because something has to.
_MARK = b"."


class DevHandover:
    """Hands connections from each child of the dev server on to the next.

    All children have the same pair of sockets. What one has put into it waits there, whichever takes it.

    Args:
        inbox: The end that connections are taken from.
        outbox: The end that they are put into.
        finished: Is called once a child that has a successor takes nothing from any client any more.
    """

    def __init__(self, inbox: socket.socket, outbox: socket.socket, finished: Callable[[], None]) -> None:
        inbox.setblocking(False)
        outbox.setblocking(False)
        self.has_successor = False
        self._inbox = inbox
        self._outbox = outbox
        self._finished = finished
        self._opening: set[asyncio.Task[object]] = set()

    def begin(self, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        """Take connections from now on."""
        asyncio.get_running_loop().add_reader(self._inbox, self._take, make_protocol)

    def end(self) -> None:
        """Take no more connections."""
        asyncio.get_running_loop().remove_reader(self._inbox)

    def give(self, descriptor: int) -> bool:
        """Hand a connection on; false means that it must be tried again."""
        return give_connection(self._outbox, descriptor)

    def finish(self) -> None:
        """Is told that nothing is taken from any client any more, but for what has been begun."""
        self._finished()

    def _take(self, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        try:
            _, descriptors, _, _ = socket.recv_fds(self._inbox, len(_MARK), 1)
        except (BlockingIOError, InterruptedError):
            return
        loop = asyncio.get_running_loop()
        for descriptor in descriptors:
            connection = socket.socket(fileno=descriptor)
            connection.setblocking(False)
            task: asyncio.Task[object] = loop.create_task(open_connection(make_protocol, connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)


def give_connection(outbox: socket.socket, descriptor: int) -> bool:
    """Put a connection into a socket that does not block; false means that there is no room for it now."""
    try:
        socket.send_fds(outbox, [_MARK], [descriptor])
    except OSError:
        # Systems say so in several ways; Linux, for one, also limits how many are on their way (ETOOMANYREFS).
        return False
    return True
