"""The subscribers of a topic in one namespace, and the fastest way to each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nitro_py.encoding import Frame
from nitro_py.runtime.contracts import Broadcast
from nitro_py.runtime.counters import Counters

if TYPE_CHECKING:
    from nitro_py.runtime.contracts import Subscriber

Deliver = Callable[[Broadcast], None]
# Function that encodes frames → subscriber's id → function that takes encoded frames.
WritesByEncoder = dict[Callable[[Frame], bytes], dict[str, Callable[[bytes], object]]]


class TopicSubscribers:
    """The subscribers of a topic in one namespace.

    For the rows `broadcast-1000` and `broadcast-5000` of the benchmark: with thousands of subscribers each object
    that is read for one is a miss in the processor's cache. So all that is kept of a connection that keeps up is
    its transport's `write`, by its `DirectWriter`. Subscribers are sorted anew before a delivery if one was added
    or removed, or if any connection of the app stopped to keep up.

    Args:
        counters: Tells whether a `DirectWriter` has ended, and counts what is sent.
    """

    __slots__ = ("_by_encoder", "_counters", "_others", "_sorted_at", "_subscribers")

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._subscribers: dict[str, Subscriber] = {}
        self._by_encoder: WritesByEncoder = {}
        self._others: dict[str, Deliver] = {}
        # `direct_writers_closed` when the subscribers were last sorted; `None` if they have changed since.
        self._sorted_at: int | None = None

    def __len__(self) -> int:
        return len(self._subscribers)

    def add(self, id: str, subscriber: Subscriber) -> None:
        """Add a subscriber; a second time changes nothing."""
        self._subscribers[id] = subscriber
        self._sorted_at = None

    def discard(self, id: str) -> None:
        """Remove a subscriber."""
        self._subscribers.pop(id, None)
        self._sorted_at = None

    def deliver(self, broadcast: Broadcast, exclude: str | None) -> None:
        """Deliver a frame to every subscriber, without waiting.

        Args:
            broadcast: The frame.
            exclude: The id of the one subscriber to leave out.
        """
        if self._sorted_at != self._counters.direct_writers_closed:
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
        # Made anew, not changed: a delivery that goes on may close a peer, which removes its subscriber.
        self._by_encoder, self._others = {}, {}
        self._sorted_at = self._counters.direct_writers_closed
        for id, subscriber in self._subscribers.items():
            direct_writer = subscriber.direct_writer
            if direct_writer is None:
                self._others[id] = subscriber.deliver
            else:
                self._by_encoder.setdefault(direct_writer.encode, {})[id] = direct_writer.write
