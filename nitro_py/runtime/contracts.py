"""What a target implements: a channel for each peer, and a hub that knows them all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from nitro_py.encoding import Frame

if TYPE_CHECKING:
    from nitro_py.peer import Peer, ReadyState
    from nitro_py.runtime.topics.broadcast import Broadcast


class Outlet(NamedTuple):
    """Leads past a channel, straight to a connection that keeps up: what is written so is delivered.

    It holds until `Counters.outlets_closed` says that one of the app's has closed.

    Args:
        encode: Writes frames in the form that the connection carries, a function as `Broadcast.encode` takes it.
        write: Takes frames in that form, without waiting.
    """

    encode: Callable[[Frame], bytes]
    write: Callable[[bytes], object]


class Channel(Protocol):
    """Carries frames to one peer."""

    @property
    def ready_state(self) -> ReadyState:
        """Where the connection stands."""

    @property
    def buffered_amount(self) -> int:
        """Bytes that were sent and have not left this process."""

    @property
    def outlet(self) -> Outlet | None:
        """What topics may write to in place of `deliver`, if there is such a thing and the peer keeps up."""

    def send(self, frame: Frame) -> Awaitable[None] | None:
        """Send a frame; MUST raise `PeerClosedError` when the peer is gone, and MAY wait for a slow one.

        Returns:
            What is to be awaited; `None` if the frame is sent.
        """

    def deliver(self, broadcast: Broadcast) -> None:
        """Hand over a topic's frame; MUST NOT wait, MUST close with 1013 past the buffer limit."""

    async def close(self, code: int, reason: str) -> None:
        """Start the closing handshake, after the frames already sent; a second call does nothing."""

    async def terminate(self) -> None:
        """Drop the connection without a handshake."""

    async def wait_for_drain(self) -> None:
        """Wait until `buffered_amount` is 0 or the peer is gone."""


class Subscriber(Protocol):
    """Receives the frames of topics: a peer, or an event stream."""

    @property
    def id(self) -> str:
        """Unique among all subscribers."""

    @property
    def namespace(self) -> str | None:
        """The namespace it listens in; `None` for all."""

    @property
    def outlet(self) -> Outlet | None:
        """What may be written to now in place of `deliver`, if there is such a thing."""

    def deliver(self, broadcast: Broadcast) -> None:
        """Take a frame without waiting."""


class Hub(Protocol):
    """Knows the peers of an app and the topics they subscribe to."""

    async def subscribe(self, peer: Peer, topic: str) -> None:
        """Add a peer to a topic; a second time changes nothing."""

    async def unsubscribe(self, peer: Peer, topic: str) -> None:
        """Take a peer out of a topic."""

    async def publish(
        self, topic: str, frame: Frame, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Deliver a frame to a topic's subscribers, everywhere.

        Args:
            topic: The topic's name.
            frame: The encoded message.
            namespace: Only subscribers there; `None` reaches all.
            exclude: The id of the one subscriber to leave out.
        """

    def peers(self, namespace: str | None = None) -> AsyncIterator[Peer]:
        """Walk the connected peers that this target can see."""

    async def get_peer(self, id: str) -> Peer | None:
        """Reach one peer by its id, if this target can."""
