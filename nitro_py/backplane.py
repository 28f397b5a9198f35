"""The contract of a backplane, which carries topics between the processes of an app.

A backplane is found by the name in the setting `backplane`: `redis` and `nats` are built in, others come by the
entry-point group `nitro_py.backplanes`, whose entries name a `BackplaneFactory`. The hub does the rest: it
delivers in its own process, counts subscribers, connects again with back-off, and drops messages that come back or
come twice.
`nitro_py.testing.backplanes` has the contract as tests.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from nitro_py.encoding import Frame
from nitro_py.errors import BackplaneError

WIRE_VERSION = 1
# Version, flags, publisher, number, and the lengths in bytes of topic, namespace and excluded peer.
_HEAD = struct.Struct(">BB16sQIII")
_BINARY, _NAMESPACE, _EXCLUDE = 1, 2, 4


@dataclass(frozen=True, slots=True)
class BackplaneMessage:
    """A published message on its way between processes.

    The wire form is a head of 38 bytes, big-endian: version (1), flags (1 binary, 2 has a namespace, 4 excludes a
    peer), publisher (16 bytes), number (8 bytes), and three lengths of 4 bytes each; then topic, namespace and
    excluded peer in UTF-8, and the frame.

    Args:
        publisher: The id of the publishing process, 16 bytes.
        number: Unique among the messages of that process.
        topic: The topic.
        frame: Text or bytes.
        namespace: The only namespace to reach; `None` reaches all.
        exclude: The id of the one peer to leave out.

    Example:
        >>> message = BackplaneMessage(bytes(16), 1, "chat", "hello")
        >>> BackplaneMessage.from_bytes(message.to_bytes()) == message
        True
    """

    publisher: bytes
    number: int
    topic: str
    frame: Frame
    namespace: str | None = None
    exclude: str | None = None

    @property
    def id(self) -> tuple[bytes, int]:
        """Unique among all messages."""
        return self.publisher, self.number

    def to_bytes(self) -> bytes:
        """Return the wire form."""
        topic = self.topic.encode()
        namespace = (self.namespace or "").encode()
        exclude = (self.exclude or "").encode()
        flags = _BINARY * isinstance(self.frame, bytes)
        flags |= _NAMESPACE * (self.namespace is not None) | _EXCLUDE * (self.exclude is not None)
        lengths = (len(topic), len(namespace), len(exclude))
        head = _HEAD.pack(WIRE_VERSION, flags, self.publisher, self.number, *lengths)
        frame = self.frame if isinstance(self.frame, bytes) else self.frame.encode()
        return b"".join((head, topic, namespace, exclude, frame))

    @classmethod
    def from_bytes(cls, data: bytes) -> BackplaneMessage:
        """Make a message from its wire form.

        Raises:
            BackplaneError: The wire form has another version, or is broken.
        """
        try:
            version, flags, publisher, number, *lengths = _HEAD.unpack_from(data)
            if version != WIRE_VERSION:
                raise BackplaneError(f"A message has another version: expected {WIRE_VERSION}, got {version}.")
            parts: list[str] = []
            start = _HEAD.size
            for length in lengths:
                parts.append(data[start : start + length].decode())
                start += length
            if start > len(data):
                raise BackplaneError(f"A message is broken: expected at least {start} bytes, got {len(data)}.")
            frame = data[start:] if flags & _BINARY else data[start:].decode()
        except (struct.error, UnicodeDecodeError) as error:
            raise BackplaneError(f"A message is broken: {error}.") from None
        topic, namespace, exclude = parts
        return cls(
            publisher,
            number,
            topic,
            frame,
            namespace if flags & _NAMESPACE else None,
            exclude if flags & _EXCLUDE else None,
        )


class Outgoing(NamedTuple):
    """Bytes for the subscribers of a topic; the backplane need not understand them."""

    topic: str
    data: bytes


# Called with the bytes of each message that is received; it never raises.
Receive = Callable[[bytes], Awaitable[None]]


class BackplaneConnection(Protocol):
    """A connection to the broker, from `Backplane.connect` until it is lost or closed.

    Each method MUST raise `BackplaneError` where the broker cannot be reached or refuses, and nothing else. None
    of them MUST try again, connect again, or keep anything for later: the hub opens a new connection instead, and
    what a connection did on its own would be delivered twice. Calls may come at the same time from several tasks.
    """

    @property
    def max_size(self) -> int | None:
        """The largest message that the broker takes, in bytes; `None` if there is no limit."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages to the broker.

        MUST return only once the broker has accepted all of them. MUST keep their order within a topic, and that
        of calls which follow one another. MAY give them back to this connection, if it subscribes.
        """

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe to topics.

        MUST return only once the broker has confirmed all of them: messages that any connection publishes from
        then on MUST be received as long as this connection lasts. A topic is any text, empty text and the
        broker's wildcards included, and matches itself only.
        """

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Unsubscribe from topics; messages that are on their way MAY still be received."""

    async def wait_lost(self) -> None:
        """Wait until the connection is lost, then MUST raise `BackplaneError` with the reason.

        MUST notice within 30 seconds that a broker no longer answers, even where nothing is published.
        """

    async def close(self) -> None:
        """Close the connection; MUST NOT raise, even if it is lost. `receive` MUST NOT be called afterwards."""


class Backplane(Protocol):
    """A way to the other processes of an app, through a broker."""

    async def connect(self, receive: Receive) -> BackplaneConnection:
        """Open a connection that subscribes to nothing.

        Args:
            receive: MUST be awaited with each message that is received, one at a time, in the order in which one
                connection published to a topic.

        Raises:
            BackplaneError: The broker cannot be reached or refuses. It MUST NOT be tried again here.
        """


class BackplaneFactory(Protocol):
    """The object that an entry point of the group `nitro_py.backplanes` names: usually a class."""

    def __call__(self, url: str, prefix: str) -> Backplane:
        """Make a backplane; MUST NOT connect yet.

        Args:
            url: The setting `backplane_url`. It may contain a password: errors and logs MUST NOT show it.
            prefix: The setting `backplane_prefix`. Apps with different prefixes MUST NOT receive each other's
                messages.

        Raises:
            NitroError: The URL does not fit the broker, or a package is missing.
        """
