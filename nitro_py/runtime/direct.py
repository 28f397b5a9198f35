"""What our own server offers an app beyond ASGI: whole answers and event streams without a message each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from nitro_py.event import ASGIMessage, Scope, Send

# The ASGI extension by which the server announces itself; it costs nothing where there is none.
DIRECT_EXTENSION = "nitro.direct"


class StreamListener(Protocol):
    """Is told what happens to the connection below a stream."""

    def writable(self) -> None:
        """Notes that the client takes bytes again."""

    def abort(self) -> None:
        """Notes that the client left."""


class DirectSend(Protocol):
    """Is an ASGI `send` that can do more, as long as nobody has put another one around it."""

    @property
    def paused(self) -> bool:
        """Whether the client takes bytes more slowly than they come."""

    @property
    def started(self) -> bool:
        """Whether the answer has begun."""

    async def __call__(self, message: object, /) -> None:
        """Takes one ASGI message."""

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Sends a whole answer; MUST NOT be called while `paused`.

        Args:
            status: The HTTP status.
            headers: Header fields with names in lower case, the content's length among them if there is content.
            body: The content, empty for an answer to `HEAD`.

        Raises:
            ValueError: A field holds what would end it.
        """

    def leave_unlogged(self) -> None:
        """Leaves the answer, which MUST NOT have begun, out of the access log."""

    def watch(self, listener: StreamListener) -> None:
        """Tells a listener what happens to the connection until the answer has ended.

        Unlike `receive`, it takes nothing of the request's body from whoever still reads that.
        """

    def open_stream(self, listener: StreamListener) -> bool:
        """Lets a body that has begun be written by `write_chunk`; false if it cannot be."""

    def write_chunk(self, chunk: bytes) -> None:
        """Writes what `frame_chunk` made; MUST NOT be called before `open_stream`."""

    def abort(self) -> None:
        """Drops the connection, and what waits for the client with it."""


def find_direct(scope: Scope, send: Send) -> DirectSend | None:
    """Gives the server's own `send`, unless there is another server or something between it and the app.

    Compression, for one, wraps `send`, and what went past it would reach the client as it is.
    """
    direct = find_server(scope)
    return direct if direct is send else None


def find_server(scope: Scope) -> DirectSend | None:
    """Gives the server's own `send`, whatever stands around it: to listen to, not to send by."""
    extensions = scope.get("extensions")
    return cast("DirectSend | None", extensions.get(DIRECT_EXTENSION)) if extensions else None


class Onlooker:
    """Is an ASGI `send` that sees messages and changes nothing, so that what goes past it does no harm.

    Args:
        send: The one that it stands in front of.
    """

    __slots__ = ("send",)

    def __init__(self, send: Send) -> None:
        self.send = send

    async def __call__(self, message: ASGIMessage) -> None:
        """Takes one ASGI message."""
        await self.send(message)


def find_stream(scope: Scope, send: Send) -> DirectSend | None:
    """Gives the server's own `send` for a body whose start goes by messages: whoever looks on has seen that."""
    while isinstance(send, Onlooker):
        send = send.send
    return find_direct(scope, send)


def frame_chunk(data: bytes) -> bytes:
    r"""Frames bytes as a chunk of a body (RFC 9112, section 7.1).

    Example:
        >>> frame_chunk(b"data: 1\n\n")
        b'9\r\ndata: 1\n\n\r\n'
    """
    return b"%x\r\n%b\r\n" % (len(data), data)
