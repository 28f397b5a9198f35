"""The ASGI extensions of our own server: answers, event streams and sockets without an ASGI message for each part.

For the rows `http`, `sse`, `echo` and `broadcast-1000` of the benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from nitro_py.event import ASGIMessage, Scope, Send

if TYPE_CHECKING:
    from nitro_py.encoding import Frame
    from nitro_py.runtime.contracts import Channel
    from nitro_py.runtime.counters import Counters
    from nitro_py.websocket import CloseDetails

# The name of the extension for HTTP in the scope.
DIRECT_EXTENSION = "nitro.direct"


class StreamListener(Protocol):
    """A listener for the events of a stream's connection."""

    def writable(self) -> None:
        """Go on writing: the client takes bytes again."""

    def abort(self) -> None:
        """Stop: the client disconnected."""


class DirectSend(Protocol):
    """The server's ASGI `send`, with more methods, for an app whose `send` nothing wraps."""

    @property
    def paused(self) -> bool:
        """Whether the client takes bytes more slowly than they come."""

    @property
    def started(self) -> bool:
        """Whether the answer has begun."""

    async def __call__(self, message: object, /) -> None:
        """Take one ASGI message."""

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a complete answer; MUST NOT be called while `paused`.

        Args:
            status: The HTTP status.
            headers: Header fields with names in lower case, with `content-length` if there is content.
            body: The content, empty for an answer to `HEAD`.

        Raises:
            ValueError: A field contains characters that would end it.
        """

    def skip_access_log(self) -> None:
        """Leave the answer, which MUST NOT have begun, out of the access log."""

    def watch(self, listener: StreamListener) -> None:
        """Call a listener for the events of the connection until the answer has ended.

        Unlike `receive`, this takes nothing of the request's body.
        """

    def open_stream(self, listener: StreamListener) -> bool:
        """Let a body that has begun be written by `write_chunk`; return false if that cannot be."""

    def write_chunk(self, chunk: bytes) -> None:
        """Write the result of `frame_chunk`; MUST NOT be called before `open_stream`."""

    def abort(self) -> None:
        """Drop the connection, with the bytes that wait for the client."""


def find_direct_send(scope: Scope, send: Send) -> DirectSend | None:
    """Return the server's own `send`; `None` on another server, or if something wraps it.

    Compression, for one, wraps `send`: bytes that went past it would reach the client uncompressed.
    """
    # As in `find_server_send`, without the call (row `http`).
    extensions = scope.get("extensions")
    direct: DirectSend | None = extensions.get(DIRECT_EXTENSION) if extensions else None
    return direct if direct is send else None


def find_server_send(scope: Scope) -> DirectSend | None:
    """Return the server's own `send` even if something wraps it: for listening, not for sending."""
    extensions = scope.get("extensions")
    direct: DirectSend | None = extensions.get(DIRECT_EXTENSION) if extensions else None
    return direct


class PassthroughSend:
    """An ASGI `send` around another that changes no message, so that bytes may go past it.

    Args:
        send: The wrapped `send`.
    """

    __slots__ = ("send",)

    def __init__(self, send: Send) -> None:
        self.send = send

    async def __call__(self, message: ASGIMessage) -> None:
        """Take one ASGI message."""
        await self.send(message)


def find_stream_send(scope: Scope, send: Send) -> DirectSend | None:
    """Return the server's own `send` for a body whose start was sent by a message, for all wrappers to see."""
    while isinstance(send, PassthroughSend):
        send = send.send
    return find_direct_send(scope, send)


def frame_chunk(data: bytes) -> bytes:
    r"""Return bytes framed as a chunk of a body (RFC 9112, section 7.1).

    Example:
        >>> frame_chunk(b"data: 1\n\n")
        b'9\r\ndata: 1\n\n\r\n'
    """
    return b"%x\r\n%b\r\n" % (len(data), data)


SOCKET_EXTENSION: Final = "nitro.socket"


class MessageReceiver(Protocol):
    """A receiver of a client's messages, called as they come."""

    on_resume: Callable[[], None] | None

    def feed(self, data: Frame) -> bool:
        """Take a message; return false to pause reading until `on_resume` is called."""

    def on_close(self, details: CloseDetails) -> None:
        """End the session: the connection has ended, or is too slow to be kept. Only the first call counts."""

    def on_connection_lost(self) -> None:
        """Forget the connection, of which nothing is left; called after `on_close`."""


class DirectSocket(Protocol):
    """The server's side of a socket, in the scope: it is served without `receive` and `send`.

    The application accepts the handshake, takes the socket over, and returns; the connection goes on.

    Example:
        await send({"type": "websocket.accept"})
        direct = find_direct_socket(scope, send)
        channel = direct.open_channel(limit=settings.buffer_limit, counters=counters)
        direct.attach(receiver)
    """

    async def send(self, message: ASGIMessage, /) -> None:
        """Send an ASGI message: the server's own `send`."""

    def open_channel(self, *, limit: int, counters: Counters) -> Channel:
        """Return the channel that writes to the client.

        Args:
            limit: The most bytes that may wait for a slow client.
            counters: The counters of sent messages and of clients that are too slow.

        Raises:
            RuntimeError: The handshake was not accepted.
        """

    def attach(self, receiver: MessageReceiver) -> None:
        """Call a receiver with all messages from now on, and first with those that came already."""


def find_direct_socket(scope: Scope, send: Send) -> DirectSocket | None:
    """Return the server's side of a socket; `None` on another server, or if something wraps `send`.

    Messages would go past the wrapper.
    """
    direct: DirectSocket | None = scope.get("extensions", {}).get(SOCKET_EXTENSION)
    return direct if direct is not None and direct.send == send else None
