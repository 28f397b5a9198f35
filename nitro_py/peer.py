"""A connected WebSocket client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nitro_py.encoding import encode_frame, encode_text
from nitro_py.request import Request
from nitro_py.runtime.contracts import ReadyState as ReadyState
from nitro_py.runtime.topics.names import check_topic

if TYPE_CHECKING:
    from nitro_py.runtime.contracts import Channel, Hub, Publish


class Peer:
    """A connected client.

    Handlers are given peers; they do not make them. Methods that may reach out of the process are awaited, because
    on some targets the connection and its topics are kept elsewhere.

    Args:
        id: The connection's id.
        request: The request that opened the socket.
        namespace: The namespace of its topics; by default the URL's path.
        protocol: The subprotocol that was accepted, if any.
        context: A dict for what handlers keep about the peer; its values must have a JSON form.
        topics: The topics that it is subscribed to.
        channel: The connection, for frames.
        hub: The app's peers and topics.
        publish: The function that publishes.

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
        """The client's IP address; `None` if the target does not know it."""
        return self.request.remote_address

    @property
    def topics(self) -> frozenset[str]:
        """The topics that the peer is subscribed to."""
        return frozenset(self._topics)

    @property
    def ready_state(self) -> ReadyState:
        """The state of the connection."""
        return self._channel.ready_state

    @property
    def buffered_amount(self) -> int:
        """The bytes that were sent and have not left this process; 0 if the target cannot know."""
        return self._channel.buffered_amount

    async def send(self, data: object) -> None:
        """Send a message to this peer, and wait while its buffer is over `websocket.buffer_limit`.

        Args:
            data: Text, `bytes` for a binary message, `None` for empty text, or a value that is sent as JSON text.

        Raises:
            PeerClosedError: The peer is gone.
            MessageTooLargeError: The target cannot send a message of that size.
            UnsupportedError: The target cannot send binary messages.
            TypeError: The value has no JSON form.

        Example:
            await peer.send({"user": "ada", "message": "hi"})
        """
        rest = self._channel.send(data if type(data) is str and data.isascii() else encode_frame(data))
        if rest is not None:
            await rest

    async def publish(self, topic: str, data: object, *, include_self: bool = False) -> None:
        """Send a message to every subscriber of a topic in this peer's namespace.

        Args:
            topic: The topic; this peer need not subscribe to it.
            data: Any value that `send` takes.
            include_self: Whether this peer receives the message, too, if it is subscribed.

        Raises:
            BackplaneError: The broker has not accepted the message, and no peer of this process subscribes to the
                topic.
            TypeError: The value has no JSON form, or the topic is no text.
            ValueError: The topic has more than 4096 bytes, or UTF-8 cannot express it.

        Example:
            await peer.publish("chat", f"{peer} joined")
        """
        check_topic(topic)
        await self._publish(
            topic,
            encode_frame(data),
            namespace=self.namespace,
            exclude=None if include_self else self.id,
        )

    async def subscribe(self, topic: str) -> None:
        """Subscribe this peer to a topic, until it unsubscribes or its connection ends.

        Args:
            topic: The topic, any text of at most 4096 bytes in UTF-8; there are no wildcards.

        Raises:
            PeerClosedError: The peer is gone.
            TypeError: The topic is no text.
            ValueError: The topic is too long, or UTF-8 cannot express it.

        Example:
            await peer.subscribe("chat")
        """
        check_topic(topic)
        await self._hub.subscribe(self, topic)
        self._topics.add(topic)

    async def unsubscribe(self, topic: str) -> None:
        """End this peer's subscription to a topic; without one it does nothing."""
        check_topic(topic)
        await self._hub.unsubscribe(self, topic)
        self._topics.discard(topic)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, after the messages that were sent so far.

        Args:
            code: 1000 to 1003, 1007 to 1014, or 3000 to 4999 (RFC 6455, section 7.4).
            reason: At most 123 bytes of UTF-8.

        Raises:
            TypeError: The code is no number, or the reason is no text.
            ValueError: A close frame cannot contain the code or the reason.

        Example:
            await peer.close(4001, "moderated")
        """
        reason = check_close(code, reason)
        await self._channel.close(code, reason)

    async def terminate(self) -> None:
        """Drop the connection without the closing handshake."""
        await self._channel.terminate()

    async def wait_for_drain(self) -> None:
        """Wait until `buffered_amount` is 0, or the peer is gone."""
        await self._channel.wait_for_drain()

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"Peer({self.id})"


def channel_of(peer: Peer) -> Channel:
    """Return a peer's channel, for hubs."""
    return peer._channel


def check_close(code: object, reason: object) -> str:
    """Return the reason of a close frame as it can be sent, after a check (RFC 6455, sections 5.5 and 7.4).

    Raises:
        TypeError: The code is no number, or the reason is no text.
        ValueError: A close frame cannot contain them.
    """
    if not isinstance(code, int):
        raise TypeError(f"A close code is a number: expected `int`, got `{type(code).__name__}`.")
    if not isinstance(reason, str):
        raise TypeError(f"A close reason is text: expected `str`, got `{type(reason).__name__}`.")
    sendable = code == 1000 or code in (1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999
    if not sendable:
        raise ValueError(
            f"Close code {code} cannot be sent: expected 1000-1003, 1007-1014 or 3000-4999, got {code}."
        )
    encoded = encode_text(reason)
    if len(encoded) > 123:
        raise ValueError(f"The close reason is too long: expected at most 123 bytes, got {len(encoded)}.")
    return encoded.decode()
