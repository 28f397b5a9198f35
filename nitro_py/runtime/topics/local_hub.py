"""The hub of one process: its peers, and who subscribes to which topic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator
from typing import TYPE_CHECKING

from nitro_py.encoding import Frame
from nitro_py.errors import PeerClosedError
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.tasks import pause
from nitro_py.runtime.topics.broadcast import Broadcast
from nitro_py.runtime.topics.subscribers import TopicSubscribers

if TYPE_CHECKING:
    from nitro_py.peer import Peer
    from nitro_py.runtime.contracts import Subscriber

# By namespace; the namespace `None` listens to all.
Audiences = dict[str | None, TopicSubscribers]


class LocalHub:
    """Keeps peers and topics in memory and delivers without waiting.

    Args:
        counters: The app's, which its peers' channels count in, too.

    Example:
        hub = LocalHub(Counters())
        await hub.publish("chat", "hello")
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._peers: dict[str, Peer] = {}
        self._topics: dict[str, Audiences] = {}
        self._watchers: list[Callable[[str], None]] = []

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call a function with each topic that gets its first subscriber here, or lose its last."""
        self._watchers.append(watcher)

    def topics(self) -> Collection[str]:
        """Name the topics that have subscribers here."""
        return self._topics.keys()

    def has(self, topic: str) -> bool:
        """Return whether a topic has subscribers here."""
        return topic in self._topics

    def add(self, peer: Peer) -> None:
        """Make a peer known; it was accepted and is about to be opened."""
        self._peers[peer.id] = peer

    def remove(self, peer: Peer) -> None:
        """Forget a peer and its subscriptions; its own record of topics stays for the close hook."""
        self._peers.pop(peer.id, None)
        for topic in peer.topics:
            self.leave(topic, peer)

    def join(self, topic: str, subscriber: Subscriber) -> None:
        """Add a subscriber to a topic."""
        audiences = self._topics.get(topic)
        if audiences is None:
            audiences = self._topics[topic] = {}
            self._announce(topic)
        audience = audiences.get(subscriber.namespace)
        if audience is None:
            audience = audiences[subscriber.namespace] = TopicSubscribers(self._counters)
        audience.add(subscriber)

    def leave(self, topic: str, subscriber: Subscriber) -> None:
        """Take a subscriber out of a topic; empty topics leave nothing behind."""
        audiences = self._topics.get(topic)
        if audiences is None or subscriber.namespace not in audiences:
            return
        audiences[subscriber.namespace].discard(subscriber.id)
        if not audiences[subscriber.namespace]:
            del audiences[subscriber.namespace]
        if not audiences:
            del self._topics[topic]
            self._announce(topic)

    async def subscribe(self, peer: Peer, topic: str) -> None:
        """Add a peer to a topic.

        Raises:
            PeerClosedError: The peer is gone, and so its subscription could never end.
        """
        from nitro_py.peer import ReadyState  # Whoever has a peer has loaded it, and a hub may have none.

        if peer.id not in self._peers or peer.ready_state is not ReadyState.OPEN:
            raise PeerClosedError(f"Peer `{peer.id}` is gone.")
        self.join(topic, peer)

    async def unsubscribe(self, peer: Peer, topic: str) -> None:
        """Take a peer out of a topic."""
        self.leave(topic, peer)

    async def publish(
        self, topic: str, frame: Frame, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Hand a frame to every subscriber of a topic in this process."""
        self.deliver(topic, Broadcast(frame), namespace=namespace, exclude=exclude)
        # A publisher in a loop must let the frames out, or peers that are fast would look slow.
        await pause()

    def deliver(
        self, topic: str, broadcast: Broadcast, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Hand a frame to every subscriber of a topic in this process, without waiting."""
        # The list is copied: a delivery may close a peer, and with the last of them an audience goes.
        for audience in list(self._audiences(topic, namespace)):
            audience.deliver(broadcast, exclude)

    async def peers(self, namespace: str | None = None) -> AsyncIterator[Peer]:
        """Walk this process's peers."""
        for peer in list(self._peers.values()):
            if namespace is None or peer.namespace == namespace:
                yield peer

    async def get_peer(self, id: str) -> Peer | None:
        """Reach one of this process's peers."""
        return self._peers.get(id)

    def _announce(self, topic: str) -> None:
        for watcher in self._watchers:
            watcher(topic)

    def _audiences(self, topic: str, namespace: str | None) -> Iterator[TopicSubscribers]:
        by_namespace = self._topics.get(topic, {})
        if namespace is None:
            yield from by_namespace.values()
            return
        for key in (namespace, None):
            if key in by_namespace:
                yield by_namespace[key]
