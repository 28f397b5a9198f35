"""Letting another process go on with a client's connection, so that no request meets the end of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nitro_py.server.http.protocol import HttpProtocol

# How soon is tried again where a connection could not be given away, in seconds.
PAUSE = 0.01

# Takes the descriptor of a connection, or says that there is no room for it now.
SendDescriptor = Callable[[int], bool]


class Handover(Protocol):
    """How a server gets connections from the process before it, and hands its own on to the one after it."""

    def begin(self, make_protocol: Callable[[], asyncio.Protocol]) -> None:
        """Take connections from now on; called in the event loop once the server serves.

        Args:
            make_protocol: Makes what serves a connection.
        """

    def end(self) -> None:
        """Take no more connections."""

    @property
    def has_successor(self) -> bool:
        """Whether there is a process to hand connections on to; settled by the time that the stop begins."""

    def give(self, descriptor: int) -> bool:
        """Hand a connection on; false means that it must be tried again."""

    def finish(self) -> None:
        """Is told that nothing is taken from any client any more, but for what has been begun."""


class IdleTransfer:
    """Gives a connection away as soon as it is idle; it stands where its `IdleTimer` was.

    A client that keeps a connection may use it again at any moment, and one whose request meets a close cannot
    know whether it was served (RFC 9112, section 9.3.1). Here the connection stays, and what comes waits in it.

    Args:
        protocol: The connection.
        give: Takes it.
    """

    __slots__ = ("_give", "_protocol")

    def __init__(self, protocol: HttpProtocol, give: SendDescriptor) -> None:
        self._protocol = protocol
        self._give = give

    def start(self) -> None:
        """Note that the connection may be idle from now on."""
        if self._protocol.is_idle:
            self._protocol.pause_reading()
            # More requests may follow among the bytes that are being read.
            self._protocol.loop.call_soon(self._look)

    def stop(self) -> None:
        """Note that the connection is in use, which is asked for again anyway."""

    def cancel(self) -> None:
        """Note that the connection is gone, which is asked for again anyway."""

    def _look(self) -> None:
        transport = self._protocol.transport
        if transport.is_closing():
            return
        if not self._protocol.is_idle:
            self._protocol.resume_reading()
        elif transport.get_write_buffer_size() or not self._give(transport.get_extra_info("socket").fileno()):
            # Another process must not write before us what comes after our last answer.
            self._protocol.loop.call_later(PAUSE, self._look)
        else:
            transport.close()
