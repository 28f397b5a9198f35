"""The hub of one process: its peers and the subscribers of its topics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator
from typing import TYPE_CHECKING

from nitro_py.encoding import Frame
from nitro_py.errors import PeerClosedError
from nitro_py.runtime.contracts import Broadcast, ReadyState
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.tasks import pause
from nitro_py.runtime.topics.subscribers import TopicSubscribers

if TYPE_CHECKING:
    from nitro_py.peer import Peer
    from nitro_py.runtime.contracts import Subscriber

# By namespace; those in the namespace `None` receive the messages of all.
SubscribersByNamespace = dict[str | None, TopicSubscribers]


class LocalHub:
    """The peers and topics of one process, in memory; deliveries do not wait.

    Args:
        counters: The app's counters.

    Example:
        hub = LocalHub(Counters())
        await hub.publish("chat", "hello")
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._peers: dict[str, Peer] = {}
        self._topics: dict[str, SubscribersByNamespace] = {}
        self._watchers: list[Callable[[str], None]] = []

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call a function with each topic that gets its first subscriber here, or loses its last."""
        self._watchers.append(watcher)

    def topics(self) -> Collection[str]:
        """Return the topics that have subscribers here."""
        return self._topics.keys()

    def has(self, topic: str) -> bool:
        """Return whether a topic has subscribers here."""
        return topic in self._topics

    def add_peer(self, peer: Peer) -> None:
        """Add a peer, before its open hook runs."""
        self._peers[peer.id] = peer

    def remove_peer(self, peer: Peer) -> None:
        """Remove a peer and its subscriptions; its own set of topics stays for the close hook."""
        self._peers.pop(peer.id, None)
        for topic in peer.topics:
            self.remove_subscriber(topic, peer.namespace, peer.id)

    def add_subscriber(self, topic: str, namespace: str | None, id: str, subscriber: Subscriber) -> None:
        """Add a subscriber to a topic.

        Args:
            topic: The topic.
            namespace: The namespace whose messages it receives; `None` means all.
            id: Unique among all subscribers.
            subscriber: The receiver.
        """
        by_namespace = self._topics.get(topic)
        if by_namespace is None:
            by_namespace = self._topics[topic] = {}
            self._announce(topic)
        subscribers = by_namespace.get(namespace)
        if subscribers is None:
            subscribers = by_namespace[namespace] = TopicSubscribers(self._counters)
        subscribers.add(id, subscriber)

    def remove_subscriber(self, topic: str, namespace: str | None, id: str) -> None:
        """Remove a subscriber from a topic; empty topics leave nothing behind."""
        by_namespace = self._topics.get(topic)
        if by_namespace is None or namespace not in by_namespace:
            return
        by_namespace[namespace].discard(id)
        if not by_namespace[namespace]:
            del by_namespace[namespace]
        if not by_namespace:
            del self._topics[topic]
            self._announce(topic)

    async def subscribe(self, peer: Peer, topic: str) -> None:
        """Add a peer to a topic.

        Raises:
            PeerClosedError: The peer is gone, and its subscription would never end.
        """
        from nitro_py.peer import channel_of  # Loaded already where there is a peer, and a hub may have none.

        if peer.id not in self._peers or peer.ready_state is not ReadyState.OPEN:
            raise PeerClosedError(f"Peer `{peer.id}` is gone.")
        self.add_subscriber(topic, peer.namespace, peer.id, channel_of(peer))

    async def unsubscribe(self, peer: Peer, topic: str) -> None:
        """Remove a peer from a topic."""
        self.remove_subscriber(topic, peer.namespace, peer.id)

    async def publish(
        self, topic: str, frame: Frame, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Deliver a frame to every subscriber of a topic in this process."""
        self.deliver(topic, Broadcast(frame), namespace=namespace, exclude=exclude)
        # A publisher in a loop must let the frames be sent, or fast peers would look slow.
        await pause()

    def deliver(
        self, topic: str, broadcast: Broadcast, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Deliver a frame to every subscriber of a topic in this process, without waiting."""
        # The list is copied: a delivery may close a peer, and the last one takes its entry along.
        for subscribers in list(self._find_subscribers(topic, namespace)):
            subscribers.deliver(broadcast, exclude)

    async def peers(self, namespace: str | None = None) -> AsyncIterator[Peer]:
        """Walk this process's peers."""
        for peer in list(self._peers.values()):
            if namespace is None or peer.namespace == namespace:
                yield peer

    async def get_peer(self, id: str) -> Peer | None:
        """Return one of this process's peers by its id."""
        return self._peers.get(id)

    def _announce(self, topic: str) -> None:
        for watcher in self._watchers:
            watcher(topic)

    def _find_subscribers(self, topic: str, namespace: str | None) -> Iterator[TopicSubscribers]:
        by_namespace = self._topics.get(topic, {})
        if namespace is None:
            yield from by_namespace.values()
            return
        for key in (namespace, None):
            if key in by_namespace:
                yield by_namespace[key]
