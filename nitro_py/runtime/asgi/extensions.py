"""What our own server offers an app beyond ASGI: whole answers and event streams without a message each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, cast

from nitro_py.event import ASGIMessage, Scope, Send

if TYPE_CHECKING:
    from nitro_py.encoding import Frame
    from nitro_py.runtime.contracts import Channel
    from nitro_py.runtime.counters import Counters
    from nitro_py.websocket import CloseDetails

# The ASGI extension by which the server announces itself; it costs nothing where there is none.
DIRECT_EXTENSION = "nitro.direct"


class StreamListener(Protocol):
    """Is told what happens to the connection below a stream."""

    def writable(self) -> None:
        """Note that the client takes bytes again."""

    def abort(self) -> None:
        """Note that the client left."""


class DirectSend(Protocol):
    """An ASGI `send` that can do more, as long as nobody has put another one around it."""

    @property
    def paused(self) -> bool:
        """Whether the client takes bytes more slowly than they come."""

    @property
    def started(self) -> bool:
        """Whether the answer has begun."""

    async def __call__(self, message: object, /) -> None:
        """Take one ASGI message."""

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole answer; MUST NOT be called while `paused`.

        Args:
            status: The HTTP status.
            headers: Header fields with names in lower case, the content's length among them if there is content.
            body: The content, empty for an answer to `HEAD`.

        Raises:
            ValueError: A field holds what would end it.
        """

    def skip_access_log(self) -> None:
        """Leave the answer, which MUST NOT have begun, out of the access log."""

    def watch(self, listener: StreamListener) -> None:
        """Tell a listener what happens to the connection until the answer has ended.

        Unlike `receive`, it takes nothing of the request's body from whoever still reads that.
        """

    def open_stream(self, listener: StreamListener) -> bool:
        """Let a body that has begun be written by `write_chunk`; false if it cannot be."""

    def write_chunk(self, chunk: bytes) -> None:
        """Write what `frame_chunk` made; MUST NOT be called before `open_stream`."""

    def abort(self) -> None:
        """Drop the connection, and what waits for the client with it."""


def find_direct_send(scope: Scope, send: Send) -> DirectSend | None:
    """Return the server's own `send`, unless there is another server or something between it and the app.

    Compression, for one, wraps `send`, and what went past it would reach the client as it is.
    """
    direct = find_server_send(scope)
    return direct if direct is send else None


def find_server_send(scope: Scope) -> DirectSend | None:
    """Return the server's own `send`, whatever stands around it: to listen to, not to send by."""
    extensions = scope.get("extensions")
    return cast("DirectSend | None", extensions.get(DIRECT_EXTENSION)) if extensions else None


class PassthroughSend:
    """An ASGI `send` that sees messages and changes nothing, so that what goes past it does no harm.

    Args:
        send: The one that it stands in front of.
    """

    __slots__ = ("send",)

    def __init__(self, send: Send) -> None:
        self.send = send

    async def __call__(self, message: ASGIMessage) -> None:
        """Take one ASGI message."""
        await self.send(message)


def find_stream_send(scope: Scope, send: Send) -> DirectSend | None:
    """Return the server's own `send` for a body whose start goes by messages: whoever looks on has seen that."""
    while isinstance(send, PassthroughSend):
        send = send.send
    return find_direct_send(scope, send)


def frame_chunk(data: bytes) -> bytes:
    r"""Frame bytes as a chunk of a body (RFC 9112, section 7.1).

    Example:
        >>> frame_chunk(b"data: 1\n\n")
        b'9\r\ndata: 1\n\n\r\n'
    """
    return b"%x\r\n%b\r\n" % (len(data), data)


SOCKET_EXTENSION: Final = "nitro.socket"


class MessageReceiver(Protocol):
    """Is told what comes from a client, as it comes."""

    on_resume: Callable[[], None] | None

    def feed(self, data: Frame) -> bool:
        """Take a message; false asks to read no more until it calls `on_resume`."""

    def lost(self, details: CloseDetails) -> None:
        """Note that the connection has ended, or is too slow to be kept; only the first call counts."""

    def gone(self) -> None:
        """Note that nothing is left of the connection, after `lost`."""


class DirectSocket(Protocol):
    """What the server puts into the scope: it lets an accepted socket be served without `receive` and `send`.

    The application accepts the handshake, takes the socket over, and returns; the connection lives on.

    Example:
        await send({"type": "websocket.accept"})
        direct = find_direct_socket(scope, send)
        channel = direct.open_channel(limit=settings.buffer_limit, counters=counters)
        direct.attach(receiver)
    """

    async def send(self, message: ASGIMessage, /) -> None:
        """Is the ASGI send callable that the server made."""

    def open_channel(self, *, limit: int, counters: Counters) -> Channel:
        """Return what writes to the client.

        Args:
            limit: The most bytes that may wait for a slow client.
            counters: Counts what is sent, and the clients that were too slow.

        Raises:
            RuntimeError: The handshake was not accepted.
        """

    def attach(self, receiver: MessageReceiver) -> None:
        """Hand everything that comes to a receiver from now on, beginning with what came already."""


def find_direct_socket(scope: Scope, send: Send) -> DirectSocket | None:
    """Return what takes a socket over; `None` on another server, or behind something that stands around `send`.

    What the latter wants to see of messages would go past it.
    """
    direct: DirectSocket | None = scope.get("extensions", {}).get(SOCKET_EXTENSION)
    return direct if direct is not None and direct.send == send else None
