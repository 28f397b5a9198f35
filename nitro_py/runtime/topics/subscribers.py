"""Who hears a topic in one namespace, and the shortest way to each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nitro_py.encoding import Frame
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.topics.broadcast import Broadcast

if TYPE_CHECKING:
    from nitro_py.runtime.contracts import Subscriber

Deliver = Callable[[Broadcast], None]
# What writes frames in a form → subscriber's id → what takes them in that form.
WritesByEncoder = dict[Callable[[Frame], bytes], dict[str, Callable[[bytes], object]]]


class TopicSubscribers:
    """Delivers to the subscribers of a topic in one namespace.

    With thousands of them each object that is looked at for one is a miss in the processor's cache. So what is
    kept of a connection that keeps up is its transport's `write` alone: its `Outlet`. Subscribers are sorted anew
    before a delivery if one has come or gone, or if any connection of the app has stopped to keep up.

    Args:
        counters: Says whether connections have stopped, and counts what is sent.
    """

    __slots__ = ("_by_encoder", "_counters", "_others", "_stops", "_subscribers")

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._subscribers: dict[str, Subscriber] = {}
        self._by_encoder: WritesByEncoder = {}
        self._others: dict[str, Deliver] = {}
        # The count of stops that `_by_encoder` knows of; `None` if it does not know the subscribers.
        self._stops: int | None = None

    def __len__(self) -> int:
        return len(self._subscribers)

    def add(self, subscriber: Subscriber) -> None:
        """Add a subscriber; a second time changes nothing."""
        self._subscribers[subscriber.id] = subscriber
        self._stops = None

    def discard(self, id: str) -> None:
        """Take a subscriber out."""
        self._subscribers.pop(id, None)
        self._stops = None

    def deliver(self, broadcast: Broadcast, exclude: str | None) -> None:
        """Hand a frame to every subscriber, without waiting.

        Args:
            broadcast: The frame.
            exclude: The id of the one subscriber to leave out.
        """
        if self._stops != self._counters.outlets_closed:
            self._sort()
        for encode, writes in self._by_encoder.items():
            data = broadcast.encode(encode)
            excluded = None if exclude is None else writes.get(exclude)
            for write in writes.values():
                if write is not excluded:
                    write(data)
            self._counters.messages_sent += len(writes) - (excluded is not None)
        for id, deliver in self._others.items():
            if id != exclude:
                deliver(broadcast)

    def _sort(self) -> None:
        # Made anew, not changed: a delivery that goes on may close a peer, which leaves the audience.
        self._by_encoder, self._others = {}, {}
        self._stops = self._counters.outlets_closed
        for id, subscriber in self._subscribers.items():
            outlet = subscriber.outlet
            if outlet is None:
                self._others[id] = subscriber.deliver
            else:
                self._by_encoder.setdefault(outlet.encode, {})[id] = outlet.write
