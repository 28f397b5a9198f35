"""How connections of clients go from one run of the app to the next."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from nitro_py.server.workers.fair_listener import open_connection

# The data beside a descriptor: `sendmsg(2)` carries none without any.
_DATA: Final = b"."


class DevHandover:
    """A `Handover` from each child of the dev server to the next.

    All children have the same pair of sockets: a connection that one child has sent waits there for the next.

    Args:
        inbox: The end that connections are received from.
        outbox: The end that they are sent into.
        finished: Called once a child that has a successor takes nothing more from any client.
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
        """Take connections from now on.

        Args:
            make_protocol: Returns the protocol of a new connection.
        """
        asyncio.get_running_loop().add_reader(self._inbox, self._take, make_protocol)

    def end(self) -> None:
        """Take no more connections."""
        asyncio.get_running_loop().remove_reader(self._inbox)

    def send(self, descriptor: int) -> bool:
        """Send a connection to the next child; false means that there is no room for it now."""
        return send_connection(self._outbox, descriptor)

    def finish(self) -> None:
        """Report that this child takes nothing more from any client, except what it has begun."""
        self._finished()

    def _take(self, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        try:
            _, descriptors, _, _ = socket.recv_fds(self._inbox, len(_DATA), 1)
        except (BlockingIOError, InterruptedError):
            return
        loop = asyncio.get_running_loop()
        for descriptor in descriptors:
            connection = socket.socket(fileno=descriptor)
            connection.setblocking(False)
            task: asyncio.Task[object] = loop.create_task(open_connection(make_protocol, connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)


def send_connection(outbox: socket.socket, descriptor: int) -> bool:
    """Send a connection over a Unix socket that does not block; false means that there is no room for it now.

    Args:
        outbox: The Unix socket.
        descriptor: The file descriptor of the connection's socket.
    """
    try:
        socket.send_fds(outbox, [_DATA], [descriptor])
    except OSError:
        # Systems report that in several ways; Linux also limits how many may be on their way (ETOOMANYREFS).
        return False
    return True
