"""A store in memory, for tests: one process, the same rules."""

from __future__ import annotations

import json
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Collection, Mapping
from typing import Any

from nitro_presets.aws_lambda.store.contract import Claim, ConnectionRow, Page, Round, Subscription
from nitro_presets.aws_lambda.store.keys import (
    namespace_prefix,
    pick_shard,
    topic_partition,
    topic_sort,
)
from nitro_presets.aws_lambda.store.rows import (
    CLOSED,
    CONNECT_TIME,
    LEFT,
    SWEEP_GRACE,
    due_time,
    make_token,
    resolve_close_claim,
    resolve_open_claim,
    write_json,
)

PAGE = 100


class MemoryStore:
    """A `ConnectionStore` in memory.

    Args:
        shards: The number of shards of each topic.
        clock: Returns the time in seconds since the epoch.

    Example:
        store = MemoryStore()
        row = await store.get_connection("BFHPhfCWIAMCKlQ=")
    """

    def __init__(self, *, shards: int = 1, clock: Callable[[], float] = time.time) -> None:
        self.shards = shards
        self._clock = clock
        # As in the table, a row's context holds the values' JSON.
        self._rows: dict[str, ConnectionRow] = {}
        self._taken: dict[str, int] = {}
        self._round = Round()
        self._tombstones: dict[str, str] = {}
        self._due: dict[str, int] = {}
        self._order: list[tuple[int, str]] = []
        self._topics: dict[str, Topic] = {}

    async def put_connection(self, row: ConnectionRow) -> bool:
        """Store a new connection; return false if the peer has left already."""
        if row.id in self._rows:
            return not self._rows[row.id].closing
        reason = self._tombstones.get(row.id)
        if reason == CLOSED:
            return False
        context = {key: write_json(value) for key, value in row.context.items()}
        row = row._replace(shard=pick_shard(row.id, self.shards), context=context)
        if reason is None:
            self._keep(row, row.expires_at)
            return True
        del self._tombstones[row.id]
        self._keep(row._replace(close_state="pending"), due_time(self._clock()))
        return False

    async def get_connection(self, id: str) -> ConnectionRow | None:
        """Read a connection."""
        row = self._read(id)
        return row if row is not None and row.expires_at + SWEEP_GRACE > self._clock() else None

    async def take_message(self, id: str, number: int) -> Claim:
        """Claim a message of a queue for its hook."""
        row = await self.get_connection(id)
        if row is None:
            return Claim("gone", None)
        if self._taken.get(id, -1) >= number:
            return Claim("done", row)
        self._taken[id] = number
        return Claim("claimed", row)

    async def claim_open(self, id: str, lease: float) -> Claim:
        """Claim the open hook."""
        now, row = self._clock(), self._rows.get(id)
        lapsed = row is not None and row.open_state == "running" and row.open_lease <= now
        if row is None or row.closing or not (row.open_state == "pending" or lapsed):
            return resolve_open_claim(self._read(id), make_token())
        self._rows[id] = row._replace(open_state="running", open_lease=now + lease, open_token=make_token())
        return Claim("claimed", self._read(id))

    async def save(
        self, id: str, changed: Mapping[str, object], removed: Collection[str] = (), *, open_token: str = ""
    ) -> bool:
        """Write changed keys of the context; return false if the connection is gone."""
        texts = {key: write_json(value) for key, value in changed.items()}
        if not texts and not removed and not open_token:
            return True
        row = self._rows.get(id)
        if row is None:
            return False
        context = {key: text for key, text in {**row.context, **texts}.items() if key not in removed}
        row = row._replace(context=context)
        self._rows[id] = row._replace(open_state="done") if open_token and row.open_token == open_token else row
        return True

    async def subscribe(self, row: ConnectionRow, topic: str) -> bool:
        """Add a connection to a topic; return false if the connection has ended."""
        kept = self._rows.get(row.id)
        if kept is None or kept.closing:
            return False
        self._rows[row.id] = kept._replace(topics=kept.topics | {topic})
        pk = topic_partition(topic, row.shard)
        subscriber = Subscription(row.id, row.connected_at, pk, topic_sort(row.namespace, row.id))
        self._topics.setdefault(pk, Topic()).add(subscriber, row.expires_at)
        return True

    async def unsubscribe(self, row: ConnectionRow, topic: str) -> None:
        """Remove a connection from a topic."""
        kept = self._rows.get(row.id)
        if kept is None or kept.closing:
            return
        self._rows[row.id] = kept._replace(topics=kept.topics - {topic})
        self._drop(topic_partition(topic, row.shard), topic_sort(row.namespace, row.id))

    async def claim_close(self, id: str, lease: float, *, disconnected: bool = False) -> Claim:
        """Claim the end of a connection."""
        now, row = self._clock(), self._rows.get(id)
        if row is None and disconnected:
            self._tombstones.setdefault(id, LEFT)
        if row is None or (row.close_state == "running" and row.close_lease > now):
            return resolve_close_claim(self._read(id), make_token())
        claimed = row._replace(close_state="running", close_lease=now + lease, close_token=make_token())
        self._keep(claimed, due_time(now + lease))
        return Claim("claimed", self._read(id))

    async def delete_topics(self, row: ConnectionRow) -> None:
        """Remove a connection from all its topics."""
        for topic in row.topics:
            self._drop(topic_partition(topic, row.shard), topic_sort(row.namespace, row.id))

    async def delete_connection(self, row: ConnectionRow) -> None:
        """Delete a connection."""
        if row.id in self._rows:
            del self._rows[row.id]
            self._unlist(row.id)
        if self._clock() < row.connected_at + CONNECT_TIME:
            self._tombstones[row.id] = CLOSED

    async def subscribers(
        self, topic: str, shard: int, *, namespace: str | None = None, start: str | None = None, limit: int = 1000
    ) -> Page[Subscription]:
        """List subscribers by namespace and id."""
        rows = self._topics.get(topic_partition(topic, shard), Topic())
        prefix = "" if namespace is None else namespace_prefix(namespace)
        first = bisect_left(rows.order, prefix) if start is None else bisect_right(rows.order, start)
        keys = rows.order[first : first + limit]
        inside = [sk for sk in keys if sk.startswith(prefix)]
        now = self._clock()
        items = tuple(rows.subscribers[sk] for sk in inside if rows.ends[sk] > now)
        more = len(inside) == limit and first + limit < len(rows.order)
        return Page(items, inside[-1] if more else None)

    async def delete_subscriptions(self, subscribers: Collection[Subscription]) -> None:
        """Delete subscriptions whose peers were found dead."""
        for subscriber in subscribers:
            self._drop(subscriber.pk, subscriber.sk)

    async def connections(self, namespace: str | None = None, *, start: str | None = None) -> Page[ConnectionRow]:
        """List the connected peers."""
        first = (int(self._clock()), "\U0010ffff") if start is None else tuple(json.loads(start))
        page = self._walk(first, None, PAGE)
        rows = [self._read(id) for id in page.items]
        found = (row for row in rows if row is not None and not row.closing)
        return Page(tuple(row for row in found if namespace in (None, row.namespace)), page.next)

    async def expired(self, *, start: str | None = None, limit: int = 100) -> Page[str]:
        """List the ids of connections that the sweep is to close."""
        first: tuple[Any, ...] = () if start is None else tuple(json.loads(start))
        return self._walk(first, self._clock(), limit)

    async def read_round(self) -> Round:
        """Read how far the sweep has come."""
        return self._round

    async def save_round(self, reached: Round) -> None:
        """Write how far the sweep has come."""
        self._round = reached

    def _walk(self, after: tuple[Any, ...], until: float | None, limit: int) -> Page[str]:
        first = bisect_right(self._order, after)
        entries = self._order[first : first + limit]
        items = tuple(id for due, id in entries if until is None or due <= until)
        more = len(items) == limit and first + limit < len(self._order)
        return Page(items, json.dumps(entries[-1]) if more else None)

    def _read(self, id: str) -> ConnectionRow | None:
        row = self._rows.get(id)
        if row is None:
            return None
        return row._replace(context={key: json.loads(text) for key, text in row.context.items()})

    def _keep(self, row: ConnectionRow, due: int) -> None:
        self._rows[row.id] = row
        self._unlist(row.id)
        self._due[row.id] = due
        insort(self._order, (due, row.id))

    def _unlist(self, id: str) -> None:
        if (due := self._due.pop(id, None)) is not None:
            del self._order[bisect_left(self._order, (due, id))]

    def _drop(self, pk: str, sk: str) -> None:
        topic = self._topics.get(pk)
        if topic is not None and topic.remove(sk):
            del self._topics[pk]


class Topic:
    """One shard of a topic, with its subscribers in the order of their keys."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.subscribers: dict[str, Subscription] = {}
        self.ends: dict[str, int] = {}

    def add(self, subscriber: Subscription, ends: int) -> None:
        """Add a subscriber, until the time when its connection cannot be alive."""
        if subscriber.sk not in self.subscribers:
            insort(self.order, subscriber.sk)
        self.subscribers[subscriber.sk] = subscriber
        self.ends[subscriber.sk] = ends

    def remove(self, sk: str) -> bool:
        """Remove a subscriber, if it is there; return true if none is left."""
        if sk in self.subscribers:
            del self.subscribers[sk], self.ends[sk], self.order[bisect_left(self.order, sk)]
        return not self.order
