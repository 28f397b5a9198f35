"""How an application takes a socket over from our own server: the ASGI extension `nitro.socket`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from nitro_py.encoding import Frame
from nitro_py.event import ASGIMessage, Scope, Send
from nitro_py.runtime.contracts import Channel
from nitro_py.runtime.counters import Counters
from nitro_py.websocket import CloseDetails

EXTENSION: Final = "nitro.socket"


class Receiver(Protocol):
    """Is told what comes from a client, as it comes."""

    on_room: Callable[[], None] | None

    def feed(self, data: Frame) -> bool:
        """Takes a message; false asks to read no more until it calls `on_room`."""

    def lost(self, details: CloseDetails) -> None:
        """Notes that the connection has ended, or is too slow to be kept; only the first call counts."""

    def gone(self) -> None:
        """Notes that nothing is left of the connection, after `lost`."""


class DirectSocket(Protocol):
    """Is what the server puts into the scope: it lets an accepted socket be served without `receive` and `send`.

    The application accepts the handshake, takes the socket over, and returns; the connection lives on.

    Example:
        await send({"type": "websocket.accept"})
        direct = find_socket(scope, send)
        channel = direct.open_channel(limit=settings.buffer_limit, counters=counters)
        direct.attach(receiver)
    """

    async def send(self, message: ASGIMessage, /) -> None:
        """Is the ASGI send callable that the server made."""

    def open_channel(self, *, limit: int, counters: Counters) -> Channel:
        """Gives what writes to the client.

        Args:
            limit: The most bytes that may wait for a slow client.
            counters: Counts what is sent, and the clients that were too slow.

        Raises:
            RuntimeError: The handshake was not accepted.
        """

    def attach(self, receiver: Receiver) -> None:
        """Hands everything that comes to a receiver from now on, beginning with what came already."""


def find_socket(scope: Scope, send: Send) -> DirectSocket | None:
    """Gives what takes a socket over; `None` on another server, or behind something that stands around `send`.

    What the latter wants to see of messages would go past it.
    """
    direct: DirectSocket | None = scope.get("extensions", {}).get(EXTENSION)
    return direct if direct is not None and direct.send == send else None
