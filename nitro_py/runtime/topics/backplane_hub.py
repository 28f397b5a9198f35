"""The hub of an app that runs in several processes: delivers in its own first, then to the others."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nitro_py.backplane import Backplane, BackplaneMessage
from nitro_py.encoding import Frame
from nitro_py.errors import BackplaneError, MessageTooLargeError, PeerClosedError
from nitro_py.peer import Peer
from nitro_py.runtime.contracts import Broadcast
from nitro_py.runtime.counters import BackplaneState
from nitro_py.runtime.topics.broker_link import BrokerLink
from nitro_py.runtime.topics.local_hub import LocalHub

logger = logging.getLogger("nitro_py.backplane")

# The ids of messages that are kept, to drop messages that a broker delivers twice.
MAX_RECENT_IDS = 4096
# The largest frame, in bytes, unless the app has another limit.
MAX_FRAME = 4 * 1024 * 1024


class BackplaneHub:
    """A hub that reaches the peers of other processes, too.

    Args:
        local: The hub of this process.
        backplane: The way to the others.
        state: The state of the backplane, which this hub updates.
        max_frame: The largest frame in bytes: the limit of a peer's buffer, since one that is larger lets the next
            message close healthy peers as slow ones.

    Example:
        broker = RedisBackplane("redis://localhost:6379", "shop")
        hub = BackplaneHub(LocalHub(Counters()), broker, BackplaneState("redis"))
        async with hub.running():
            await hub.publish("chat", "hello")
    """

    def __init__(
        self, local: LocalHub, backplane: Backplane, state: BackplaneState, max_frame: int = MAX_FRAME
    ) -> None:
        self._local = local
        self._state = state
        self._max_frame = max_frame
        # Whether a message that cannot be delivered was logged: the next ones may be a flood.
        self._warned = False
        self._link = BrokerLink(backplane, local, self._receive, state)
        self._publisher = os.urandom(16)
        self._number = 0
        self._recent = RecentIds(MAX_RECENT_IDS)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the broker connected during the block; if it cannot be reached, keep trying."""
        await self._link.start()
        try:
            yield
        finally:
            await self._link.stop()

    async def subscribe(self, peer: Peer, topic: str) -> None:
        """Add a peer to a topic, once the broker sends its messages to this process.

        If the broker is lost, the peer receives messages of this process at once, those of others once it is back.

        Raises:
            PeerClosedError: The peer is gone.
        """
        await self._local.subscribe(peer, topic)
        if topic in peer.topics:
            return
        try:
            await self._link.wait_subscribed(topic)
        except BaseException:
            self._local.remove_subscriber(topic, peer.namespace, peer.id)
            raise
        if await self._local.get_peer(peer.id) is None:
            # Its end has not removed this subscription, which was not yet among its topics.
            self._local.remove_subscriber(topic, peer.namespace, peer.id)
            raise PeerClosedError(f"Peer `{peer.id}` is gone.")

    async def unsubscribe(self, peer: Peer, topic: str) -> None:
        """Remove a peer from a topic."""
        await self._local.unsubscribe(peer, topic)

    async def wait_subscribed(self, topic: str) -> None:
        """Wait until the broker sends a topic that has subscribers here, or until the broker is lost."""
        await self._link.wait_subscribed(topic)

    async def publish(
        self, topic: str, frame: Frame, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Deliver a frame to this process's subscribers, then to the broker, and wait until it has accepted it.

        Raises:
            BackplaneError: The broker has not accepted it, and no subscriber is in this process.
            MessageTooLargeError: The frame is larger than a peer's buffer.
        """
        if self._is_too_large(frame):
            raise MessageTooLargeError(
                f"A message to a topic has at most {self._max_frame} bytes, the setting `websocket.buffer_limit`."
            )
        self._local.deliver(topic, Broadcast(frame), namespace=namespace, exclude=exclude)
        self._number += 1
        message = BackplaneMessage(self._publisher, self._number, topic, frame, namespace, exclude)
        try:
            await self._link.publish(topic, message.to_bytes())
        except BackplaneError as error:
            self._state.failures += 1
            if self._state.connected:
                logger.warning("A message to `%s` reached this process only. %s", topic, error)
            if not self._local.has(topic):
                raise
            # Nothing has waited so far, and the frames must be sent.
            await asyncio.sleep(0)

    def peers(self, namespace: str | None = None) -> AsyncIterator[Peer]:
        """Walk this process's peers."""
        return self._local.peers(namespace)

    async def get_peer(self, id: str) -> Peer | None:
        """Return one of this process's peers by its id."""
        return await self._local.get_peer(id)

    async def _receive(self, data: bytes) -> None:
        try:
            message = BackplaneMessage.from_bytes(data)
            if self._is_too_large(message.frame):
                raise BackplaneError(f"A message is too large: expected at most {self._max_frame} bytes.")
        except BackplaneError as error:
            if not self._warned:
                self._warned = True
                logger.warning("Ignored a message from the backplane, and will others without a word. %s", error)
            return
        if message.publisher == self._publisher or not self._recent.add(message.id):
            return
        self._state.received += 1
        self._local.deliver(
            message.topic, Broadcast(message.frame), namespace=message.namespace, exclude=message.exclude
        )
        # Messages may come faster than their frames can be sent.
        await asyncio.sleep(0)

    def _is_too_large(self, frame: Frame) -> bool:
        # A character has at most four bytes.
        if len(frame) * 4 <= self._max_frame:
            return False
        return len(frame if isinstance(frame, bytes) else frame.encode()) > self._max_frame


class RecentIds:
    """The last ids that were added.

    Args:
        size: The number of ids that are kept.

    Example:
        >>> ids = RecentIds(2)
        >>> [ids.add(id) for id in ("a", "b", "a", "c", "a")]
        [True, True, False, True, True]
    """

    def __init__(self, size: int) -> None:
        self._size = size
        # A dict keeps its keys in the order in which they were added.
        self._ids: dict[object, None] = {}

    def add(self, id: object) -> bool:
        """Add an id, and return whether it is new."""
        if id in self._ids:
            return False
        self._ids[id] = None
        if len(self._ids) > self._size:
            del self._ids[next(iter(self._ids))]
        return True
