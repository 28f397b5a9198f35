"""What a target implements: a channel for each peer, and a hub that knows the peers and their topics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from enum import IntEnum
from typing import Any, NamedTuple, Protocol, TypeVar

from nitro_py.encoding import Frame

T = TypeVar("T")
P = TypeVar("P")


class ReadyState(IntEnum):
    """The state of a connection, with the numbers of `WebSocket.readyState` in browsers.

    Follows the WHATWG WebSockets standard, section 3.1.

    Example:
        >>> ReadyState.OPEN == 1
        True
    """

    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3


class Broadcast:
    """A published frame, and each form in which transports send it, made once for all subscribers.

    Args:
        frame: What was published.

    Example:
        >>> broadcast = Broadcast("hello")
        >>> broadcast.encode(len), broadcast.encode(len)
        (5, 5)
    """

    __slots__ = ("_encoded", "frame")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._encoded: dict[Callable[[Frame], Any], Any] = {}

    def encode(self, encoder: Callable[[Frame], T]) -> T:
        """Return the frame as an encoder writes it; the encoder is called once for all subscribers.

        Args:
            encoder: A function that lives as long as the process; it is the key of its form.
        """
        try:
            encoded: T = self._encoded[encoder]
        except KeyError:
            encoded = self._encoded[encoder] = encoder(self.frame)
        return encoded


class DirectWriter(NamedTuple):
    """A way past a channel, straight to a connection that keeps up: what is written is delivered.

    It is valid until `Counters.direct_writers_closed` grows.

    Args:
        encode: Writes frames in the form that the connection carries, a function as `Broadcast.encode` takes it.
        write: Takes frames in that form, without waiting.
    """

    encode: Callable[[Frame], bytes]
    write: Callable[[bytes], object]


class Subscriber(Protocol):
    """A receiver of a topic's frames: a peer's channel, or the writer of an event stream."""

    @property
    def direct_writer(self) -> DirectWriter | None:
        """What topics may write to in place of `deliver`; `None` if there is none, or the client is slow."""

    def deliver(self, broadcast: Broadcast) -> None:
        """Take a topic's frame; MUST NOT wait, MUST close the connection past the buffer limit."""


class Channel(Subscriber, Protocol):
    """The connection to one peer; `deliver` MUST close it with 1013 past the buffer limit."""

    @property
    def ready_state(self) -> ReadyState:
        """The state of the connection."""

    @property
    def buffered_amount(self) -> int:
        """The bytes that were sent and have not left this process."""

    def send(self, frame: Frame) -> Awaitable[None] | None:
        """Send a frame; MUST raise `PeerClosedError` when the peer is gone, and MAY wait for a slow one.

        Returns:
            An awaitable that ends once the frame is sent; `None` if it is sent already.
        """

    async def close(self, code: int, reason: str) -> None:
        """Start the closing handshake, after the frames already sent; a second call does nothing."""

    async def terminate(self) -> None:
        """Drop the connection without a handshake."""

    async def wait_for_drain(self) -> None:
        """Wait until `buffered_amount` is 0 or the peer is gone."""


class OpenStream(Subscriber, Protocol):
    """An open event stream, as an app knows it."""

    def on_closed(self, callback: Callable[[], None]) -> None:
        """Call a function once when the stream ends; at once if it has ended."""

    def hold_until(self, work: Coroutine[Any, Any, None]) -> None:
        """Keep the first bytes from the client until some work is done."""

    async def close(self) -> None:
        """End the stream after what was pushed so far."""


class Publish(Protocol):
    """The function that publishes: `Hub.publish`, measured or not."""

    async def __call__(
        self, topic: str, frame: Frame, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Deliver a frame to a topic's subscribers, everywhere; see `Hub.publish`."""


class Hub(Protocol[P]):
    """The peers of an app, and the topics that they subscribe to."""

    async def subscribe(self, peer: P, topic: str) -> None:
        """Add a peer to a topic; a second time changes nothing."""

    async def unsubscribe(self, peer: P, topic: str) -> None:
        """Remove a peer from a topic."""

    async def publish(
        self, topic: str, frame: Frame, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Deliver a frame to a topic's subscribers, everywhere.

        Args:
            topic: The topic's name.
            frame: The encoded message.
            namespace: The only namespace to reach; `None` reaches all.
            exclude: The id of the one subscriber to leave out.
        """

    def peers(self, namespace: str | None = None) -> AsyncIterator[P]:
        """Walk the connected peers that this target can see."""

    async def get_peer(self, id: str) -> P | None:
        """Return one peer by its id, if this target can reach it."""
