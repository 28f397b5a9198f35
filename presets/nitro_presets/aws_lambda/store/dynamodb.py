"""The store in DynamoDB: one table, and an index on the time when the sweep looks at a connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from nitro_presets.aws_lambda.aws_client.attributes import marshal_item, unmarshal
from nitro_presets.aws_lambda.aws_client.errors import ConditionFailedError
from nitro_presets.aws_lambda.aws_client.service import DEFAULT_RETRY, Retry
from nitro_presets.aws_lambda.store.contract import (
    Claim,
    ConnectionRow,
    Page,
    Round,
    Subscription,
    TableClient,
)
from nitro_presets.aws_lambda.store.items import (
    READ_BATCH,
    Key,
    delete_rows,
    put_row,
    query_index,
    read_rows,
    update_row,
    write_connection_key,
    write_key,
)
from nitro_presets.aws_lambda.store.keys import (
    CONNECTION_SORT,
    connection_partition,
    namespace_prefix,
    pick_shard,
    read_subscriber,
    topic_partition,
    topic_sort,
)
from nitro_presets.aws_lambda.store.rows import (
    CLOSED,
    CONNECT_TIME,
    CONTEXT,
    LEFT,
    TOPIC,
    due_time,
    make_token,
    read_connection,
    resolve_close_claim,
    resolve_open_claim,
    write_connection,
    write_json,
    write_tombstone,
)

# An expression of DynamoDB has at most 300 operators and 4 KiB.
KEYS_PER_WRITE = 100
# The row that tells how far the sweep has come.
ROUND_KEY: Key = ("round", CONNECTION_SORT)

ALIVE = "close_state = :none"
EXISTS = "attribute_exists(close_state)"
ABSENT = "attribute_not_exists(pk)"
CLAIM_OPEN = "SET open_state = :running, open_lease = :until, open_token = :token"
MAY_OPEN = f"{ALIVE} AND (open_state = :pending OR (open_state = :running AND open_lease <= :now))"
CLAIM_CLOSE = "SET close_state = :running, close_lease = :until, close_token = :token, due = :due"
# Messages that were taken are told by the number of the last one.
TAKE = "SET taken = :number, taken_token = :token"
MAY_TAKE = "attribute_exists(close_state) AND (attribute_not_exists(taken) OR taken < :number)"
MAY_CLOSE = "close_state IN (:none, :pending) OR (close_state = :running AND close_lease <= :now)"


class DynamoStore:
    """A `ConnectionStore` in DynamoDB.

    Args:
        client: A client of the table that `table_definition` defines.
        shards: The number of shards of each topic.
        clock: Returns the time in seconds since the epoch.
        retry: How the unprocessed items of a batch are tried again.

    Example:
        store = DynamoStore(DynamoClient("nitro"))
        row = await store.get_connection("BFHPhfCWIAMCKlQ=")
    """

    def __init__(
        self,
        client: TableClient,
        *,
        shards: int = 1,
        clock: Callable[[], float] = time.time,
        retry: Retry = DEFAULT_RETRY,
    ) -> None:
        self.shards = shards
        self._client = client
        self._clock = clock
        self._retry = retry

    async def put_connection(self, row: ConnectionRow) -> bool:
        """Store a new connection; return false if the peer has left already."""
        row = row._replace(shard=pick_shard(row.id, self.shards))
        try:
            await put_row(self._client, write_connection(row, row.expires_at), ABSENT)
        except ConditionFailedError as error:
            found = error.item or {}
        else:
            return True
        if found.get("mark") != LEFT:
            # A repeated call finds its own row, or the tombstone of a connection that has closed since.
            return found.get("close_state") == "none"
        early = write_connection(row._replace(close_state="pending"), due_time(self._clock()))
        with suppress(ConditionFailedError):
            await put_row(self._client, early, "mark = :left", {":left": LEFT})
        return False

    async def get_connection(self, id: str) -> ConnectionRow | None:
        """Read a connection."""
        answer = await self._client.call("GetItem", {"Key": write_connection_key(id), "ConsistentRead": True})
        if "Item" not in answer:
            return None
        values = unmarshal(answer["Item"])
        return read_connection(values) if values["ttl"] > self._clock() else None

    async def take_message(self, id: str, number: int) -> Claim:
        """Claim a message of a queue for its hook."""
        token = make_token()
        values: dict[str, object] = {":number": number, ":token": token}
        won, found = await update_row(self._client, id, TAKE, MAY_TAKE, values, answer="ALL_NEW")
        row = read_connection(found)
        if row is None or found["ttl"] <= self._clock():
            return Claim("gone", None)
        # A repeated call finds its own token.
        return Claim("claimed" if won or found.get("taken_token") == token else "done", row)

    async def claim_open(self, id: str, lease: float) -> Claim:
        """Claim the open hook."""
        now, token = self._clock(), make_token()
        values = write_claim(now, lease, token)
        won, found = await update_row(self._client, id, CLAIM_OPEN, MAY_OPEN, values, answer="ALL_NEW")
        row = read_connection(found)
        return Claim("claimed", row) if won else resolve_open_claim(row, token)

    async def save(
        self, id: str, changed: Mapping[str, object], removed: Collection[str] = (), *, open_token: str = ""
    ) -> bool:
        """Write changed keys of the context; return false if the connection is gone."""
        texts: dict[str, str | None] = {key: write_json(value) for key, value in changed.items()}
        texts.update(dict.fromkeys(removed))
        keys = list(texts)
        for start in range(0, len(keys), KEYS_PER_WRITE):
            batch = {key: texts[key] for key in keys[start : start + KEYS_PER_WRITE]}
            last = start + KEYS_PER_WRITE >= len(keys)
            if not await self._save(id, batch, open_token if last else ""):
                return False
        return bool(keys) or not open_token or await self._save(id, {}, open_token)

    async def subscribe(self, row: ConnectionRow, topic: str) -> bool:
        """Add a connection to a topic; return false if the connection has ended."""
        pk, sk = self._topic_key(row, topic)
        item = {"pk": pk, "sk": sk, "connected_at": row.connected_at, "ttl": row.expires_at}
        put = {"Put": {"TableName": self._client.table, "Item": marshal_item(item)}}
        return await self._change_topic(row, topic, "SET #topic = :topic", put, {":topic": True})

    async def unsubscribe(self, row: ConnectionRow, topic: str) -> None:
        """Remove a connection from a topic."""
        delete = {"Delete": {"TableName": self._client.table, "Key": write_key(self._topic_key(row, topic))}}
        await self._change_topic(row, topic, "REMOVE #topic", delete, {})

    async def claim_close(self, id: str, lease: float, *, disconnected: bool = False) -> Claim:
        """Claim the end of a connection."""
        now, token = self._clock(), make_token()
        values = write_claim(now, lease, token) | {":due": due_time(now + lease)}
        while True:
            won, found = await update_row(self._client, id, CLAIM_CLOSE, MAY_CLOSE, values, answer="ALL_NEW")
            row = read_connection(found)
            if won or found or not disconnected:
                return Claim("claimed", row) if won else resolve_close_claim(row, token)
            try:
                await put_row(self._client, write_tombstone(id, LEFT, now), ABSENT)
            except ConditionFailedError:
                # Written since the update: the row, which is now claimed, or another tombstone.
                continue
            return Claim("gone", None)

    async def delete_topics(self, row: ConnectionRow) -> None:
        """Remove a connection from all its topics."""
        keys = [self._topic_key(row, topic) for topic in sorted(row.topics)]
        await delete_rows(self._client, keys, self._retry)

    async def delete_connection(self, row: ConnectionRow) -> None:
        """Delete a connection."""
        now = self._clock()
        if now < row.connected_at + CONNECT_TIME:
            # A repeated call of `put_connection` may still come, and would write the row again.
            await put_row(self._client, write_tombstone(row.id, CLOSED, now))
            return
        await self._client.call("DeleteItem", {"Key": write_connection_key(row.id)})

    async def subscribers(
        self, topic: str, shard: int, *, namespace: str | None = None, start: str | None = None, limit: int = 1000
    ) -> Page[Subscription]:
        """List subscribers by namespace and id."""
        pk = topic_partition(topic, shard)
        condition = "pk = :pk"
        values: dict[str, Any] = {":pk": pk, ":now": self._clock()}
        if namespace is not None:
            condition += " AND begins_with(sk, :prefix)"
            values[":prefix"] = namespace_prefix(namespace)
        query: dict[str, Any] = {
            "KeyConditionExpression": condition,
            "FilterExpression": "#ttl > :now",
            "ProjectionExpression": "sk, connected_at",
            "ExpressionAttributeNames": {"#ttl": "ttl"},
            "ExpressionAttributeValues": marshal_item(values),
            "ConsistentRead": True,
            "Limit": limit,
        }
        if start is not None:
            query["ExclusiveStartKey"] = write_key((pk, start))
        answer = await self._client.call("Query", query)
        last = answer.get("LastEvaluatedKey")
        items = tuple(
            Subscription(read_subscriber(item["sk"]), item["connected_at"], pk, item["sk"])
            for item in map(unmarshal, answer["Items"])
        )
        return Page(items, last["sk"]["S"] if last else None)

    async def delete_subscriptions(self, subscribers: Collection[Subscription]) -> None:
        """Delete subscriptions whose peers were found dead."""
        keys = [(subscriber.pk, subscriber.sk) for subscriber in subscribers]
        await delete_rows(self._client, keys, self._retry)

    async def connections(self, namespace: str | None = None, *, start: str | None = None) -> Page[ConnectionRow]:
        """List the connected peers."""
        page = await query_index(
            self._client, "due > :now", self._clock(), start=start, limit=READ_BATCH, namespace=namespace
        )
        keys = [(connection_partition(id), CONNECTION_SORT) for id in page.items]
        rows = map(read_connection, await read_rows(self._client, keys, self._retry))
        return Page(tuple(row for row in rows if row is not None and not row.closing), page.next)

    async def expired(self, *, start: str | None = None, limit: int = 100) -> Page[str]:
        """List the ids of connections that the sweep is to close."""
        return await query_index(self._client, "due <= :now", self._clock(), start=start, limit=limit)

    async def read_round(self) -> Round:
        """Read how far the sweep has come."""
        answer = await self._client.call("GetItem", {"Key": write_key(ROUND_KEY), "ConsistentRead": True})
        found = unmarshal(answer["Item"]) if "Item" in answer else {}
        return Round(found.get("start"), found.get("began", 0.0))

    async def save_round(self, reached: Round) -> None:
        """Write how far the sweep has come."""
        pk, sk = ROUND_KEY
        values = {"pk": pk, "sk": sk, "start": reached.start, "began": reached.began}
        await put_row(self._client, values)

    async def _save(self, id: str, texts: Mapping[str, str | None], open_token: str) -> bool:
        names = {f"#{number}": CONTEXT + key for number, key in enumerate(texts)}
        values = {f":{number}": text for number, text in enumerate(texts.values()) if text is not None}
        sets = [f"#{name[1:]} = {name}" for name in values]
        removes = [name for name in names if f":{name[1:]}" not in values]
        condition = EXISTS
        if open_token:
            sets.append("open_state = :done")
            values |= {":done": "done", ":token": open_token}
            condition += " AND open_token = :token"
        parts = [f"SET {', '.join(sets)}"] * bool(sets) + [f"REMOVE {', '.join(removes)}"] * bool(removes)
        won, found = await update_row(self._client, id, " ".join(parts), condition, values, names=names)
        if won or not open_token or read_connection(found) is None:
            return won
        # Claimed again since: the other caller ends the hook. The context is written all the same.
        return not texts or await self._save(id, texts, "")

    async def _change_topic(
        self, row: ConnectionRow, topic: str, change: str, action: dict[str, Any], values: dict[str, object]
    ) -> bool:
        update: dict[str, Any] = {
            "TableName": self._client.table,
            "Key": write_connection_key(row.id),
            "UpdateExpression": change,
            "ConditionExpression": ALIVE,
            "ExpressionAttributeNames": {"#topic": TOPIC + topic},
            "ExpressionAttributeValues": marshal_item({":none": "none", **values}),
        }
        try:
            await self._client.call("TransactWriteItems", {"TransactItems": [{"Update": update}, action]})
        except ConditionFailedError:
            return False
        return True

    def _topic_key(self, row: ConnectionRow, topic: str) -> Key:
        return topic_partition(topic, row.shard), topic_sort(row.namespace, row.id)


def write_claim(now: float, lease: float, token: str) -> dict[str, object]:
    """Return the attribute values of a claim's expressions."""
    states = {":none": "none", ":pending": "pending", ":running": "running"}
    return {**states, ":now": now, ":until": now + lease, ":token": token}
