"""How another process goes on with a client's connection, so that no request meets the end of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

# How soon a connection that could not be sent is tried again, in seconds.
RETRY_PAUSE: Final = 0.01

# Sends the descriptor of a connection to another process; false means that there is no room for it now.
SendDescriptor = Callable[[int], bool]


class Handover(Protocol):
    """The way by which connections come from the process before a server and go to the process after it."""

    def begin(self, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        """Take connections from now on; called in the event loop once the server serves.

        Args:
            make_protocol: Returns the protocol of a new connection.
        """

    def end(self) -> None:
        """Take no more connections."""

    @property
    def has_successor(self) -> bool:
        """Whether there is a process to send connections to; settled by the time that the stop begins."""

    def send(self, descriptor: int) -> bool:
        """Send a connection to the next process; false means that there is no room for it now.

        Args:
            descriptor: The file descriptor of the connection's socket.
        """

    def finish(self) -> None:
        """Report that the server takes nothing more from any client, except what it has begun."""


class TransferableConnection(Protocol):
    """An HTTP connection, as far as its transfer needs it."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    @property
    def is_idle(self) -> bool:
        """Whether nothing of the client is still to be read or answered."""

    def pause_reading(self) -> None:
        """Take no more bytes from the client for now."""

    def resume_reading(self) -> None:
        """Take bytes from the client again."""


class IdleTransfer:
    """The transfer of a connection to another process as soon as it is idle, in the place of its `IdleTimer`.

    A client that keeps a connection may use it again at any moment, and one whose request meets a close cannot
    know whether it was served (RFC 9112, section 9.3.1). Here the connection stays, and what comes waits in it.

    Args:
        connection: The connection.
        send: Sends its descriptor.
    """

    __slots__ = ("_connection", "_send")

    def __init__(self, connection: TransferableConnection, send: SendDescriptor) -> None:
        self._connection = connection
        self._send = send

    def start(self) -> None:
        """Transfer the connection if it is idle; called each time that it may be."""
        if self._connection.is_idle:
            self._connection.pause_reading()
            # More requests may follow among the bytes that are being read.
            self._connection.loop.call_soon(self._try)

    def stop(self) -> None:
        """Do nothing: `_try` asks again whether the connection is idle."""

    def cancel(self) -> None:
        """Do nothing: `_try` asks again whether the connection is there."""

    def _try(self) -> None:
        transport = self._connection.transport
        if transport.is_closing():
            return
        if not self._connection.is_idle:
            self._connection.resume_reading()
        elif transport.get_write_buffer_size() or not self._send(transport.get_extra_info("socket").fileno()):
            # Another process must not write before us what comes after our last answer.
            self._connection.loop.call_later(RETRY_PAUSE, self._try)
        else:
            transport.close()
