"""A connected WebSocket client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nitro_py.encoding import encode_frame
from nitro_py.request import Request
from nitro_py.runtime.contracts import ReadyState as ReadyState

if TYPE_CHECKING:
    from nitro_py.runtime.contracts import Channel, Hub, Publish


class Peer:
    """One connected client, on whichever target it is connected.

    Handlers are given peers; they don't make them. All that may reach out of the process is awaited, because
    on some targets the connection, its context and its topics live elsewhere.

    Args:
        id: The connection's id.
        request: The request that opened the socket.
        namespace: Where its topics live; by default the URL's path.
        protocol: The subprotocol that was accepted, if any.
        context: What handlers keep about the peer, JSON-able.
        topics: The topics it is subscribed to.
        channel: What carries frames to it.
        hub: What knows the other peers.

    Example:
        async def message(peer: Peer, message: Message) -> None:
            await peer.send({"you said": message.text()})
            await peer.publish("chat", f"{peer}: {message}")
    """

    __slots__ = ("_channel", "_hub", "_publish", "_topics", "context", "id", "namespace", "protocol", "request")

    def __init__(
        self,
        *,
        id: str,
        request: Request,
        namespace: str,
        protocol: str | None,
        context: dict[str, Any],
        topics: set[str],
        channel: Channel,
        hub: Hub[Peer],
        publish: Publish,
    ) -> None:
        self.id = id
        self.request = request
        self.namespace = namespace
        self.protocol = protocol
        self.context = context
        self._topics = topics
        self._channel = channel
        self._hub = hub
        self._publish = publish

    @property
    def params(self) -> Mapping[str, str]:
        """The route's path parameters."""
        return self.request.params

    @property
    def remote_address(self) -> str | None:
        """The client's IP address, where the target knows it."""
        return self.request.remote_address

    @property
    def topics(self) -> frozenset[str]:
        """The topics that the peer is subscribed to."""
        return frozenset(self._topics)

    @property
    def ready_state(self) -> ReadyState:
        """Where the connection stands."""
        return self._channel.ready_state

    @property
    def buffered_amount(self) -> int:
        """Bytes that were sent and have not left this process; 0 where the target cannot know."""
        return self._channel.buffered_amount

    async def send(self, data: object) -> None:
        """Send to this peer: text and bytes as they are, `None` as empty text, the rest as JSON.

        Waits while the peer's buffer is over its limit.

        Raises:
            PeerClosedError: The peer is gone.
            MessageTooLargeError: The target cannot carry a message of that size.
            UnsupportedError: The target cannot carry binary messages.
        """
        rest = self._channel.send(data if type(data) is str else encode_frame(data))
        if rest is not None:
            await rest

    async def publish(self, topic: str, data: object, *, include_self: bool = False) -> None:
        """Send to every subscriber of a topic in this peer's namespace.

        Args:
            topic: The topic's name; the sender need not subscribe to it.
            data: What `send` takes.
            include_self: Whether this peer, if subscribed, receives it too.
        """
        await self._publish(
            topic,
            encode_frame(data),
            namespace=self.namespace,
            exclude=None if include_self else self.id,
        )

    async def subscribe(self, topic: str) -> None:
        """Add this peer to a topic, until it unsubscribes or its connection ends.

        Raises:
            PeerClosedError: The peer is gone.
        """
        await self._hub.subscribe(self, topic)
        self._topics.add(topic)

    async def unsubscribe(self, topic: str) -> None:
        """Take this peer out of a topic."""
        await self._hub.unsubscribe(self, topic)
        self._topics.discard(topic)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection after what was sent so far.

        Args:
            code: 1000, 1001, 1003, 1007 to 1014, or 3000 to 4999 (RFC 6455, section 7.4).
            reason: At most 123 bytes of UTF-8.

        Raises:
            ValueError: The code or the reason cannot stand in a close frame.
        """
        check_close(code, reason)
        await self._channel.close(code, reason)

    async def terminate(self) -> None:
        """Drop the connection without a closing handshake."""
        await self._channel.terminate()

    async def wait_for_drain(self) -> None:
        """Wait until all that was sent has left this process, or the peer is gone."""
        await self._channel.wait_for_drain()

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"Peer({self.id})"


def channel_of(peer: Peer) -> Channel:
    """Return a peer's channel, which hubs deliver to."""
    return peer._channel


def check_close(code: int, reason: str) -> None:
    """Refuse a code or reason that RFC 6455 keeps out of close frames."""
    sendable = code == 1000 or code in (1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999
    if not sendable:
        raise ValueError(
            f"Close code {code} cannot be sent: expected 1000-1003, 1007-1014 or 3000-4999, got {code}."
        )
    length = len(reason.encode())
    if length > 123:
        raise ValueError(f"The close reason is too long: expected at most 123 bytes, got {length}.")
