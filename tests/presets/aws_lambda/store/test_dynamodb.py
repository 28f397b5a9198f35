"""What only DynamoDB has: calls that cost money, batches that are done by halves, words that it reserves."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

from nitro_presets.aws_lambda.aws_client.attributes import marshal_item, unmarshal
from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from nitro_presets.aws_lambda.aws_client.errors import ServiceError
from nitro_presets.aws_lambda.aws_client.service import Retry
from nitro_presets.aws_lambda.store.dynamodb import DynamoStore
from nitro_presets.aws_lambda.store.keys import INDEX_PARTITIONS
from nitro_presets.aws_lambda.store.rows import CLOSED, CONNECT_TIME, LEFT
from nitro_presets.aws_lambda.store.table import TTL, table_definition
from tests.presets.aws_lambda.store.stores import LEASE, Clock, connect, list_ids, list_pages, make_row

pytestmark = pytest.mark.anyio

QUICK = Retry(attempts=4, base=0, cap=0)


class StingyClient:
    """A client that does only the first few rows of a batch."""

    def __init__(self, client: DynamoClient, rows: int) -> None:
        self._client = client
        self._rows = rows
        self.table = client.table
        self.largest = 0

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Make a call."""
        if operation == "BatchWriteItem":
            requests = payload["RequestItems"][self.table]
            self.largest = max(self.largest, len(requests))
            if self._rows:
                done = {"RequestItems": {self.table: requests[: self._rows]}}
                await self._client.call(operation, done)
            rest = requests[self._rows :]
            return {"UnprocessedItems": {self.table: rest} if rest else {}}
        if operation == "BatchGetItem":
            request = payload["RequestItems"][self.table]
            rest = request["Keys"][self._rows :]
            done = {"RequestItems": {self.table: {**request, "Keys": request["Keys"][: self._rows]}}}
            answer = await self._client.call(operation, done)
            return {**answer, "UnprocessedKeys": {self.table: {**request, "Keys": rest}} if rest else {}}
        return await self._client.call(operation, payload)


class WatchingClient:
    """Records what is called."""

    def __init__(self, client: DynamoClient) -> None:
        self._client = client
        self.table = client.table
        self.expressions: list[str] = []

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Make a call."""
        self._watch(payload)
        return await self._client.call(operation, payload)

    def _watch(self, payload: Any) -> None:
        if isinstance(payload, list):
            for inner in payload:
                self._watch(inner)
        elif isinstance(payload, dict):
            for name, inner in payload.items():
                if name.endswith("Expression"):
                    self.expressions.append(inner)
                self._watch(inner)


class InterruptedClient:
    """A client that lets another act just before the first call of an operation."""

    def __init__(self, client: DynamoClient, operation: str, act: Callable[[], Awaitable[object]]) -> None:
        self._client = client
        self._operation: str | None = operation
        self._act = act
        self.table = client.table

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Make a call."""
        if operation == self._operation:
            self._operation = None
            await self._act()
        return await self._client.call(operation, payload)


@pytest.fixture
def store(client: DynamoClient, clock: Clock) -> DynamoStore:
    """Make an empty store in DynamoDB."""
    return DynamoStore(client, clock=clock, retry=QUICK)


def take_calls(client: DynamoClient) -> Counter[str]:
    """Return the calls since the last time."""
    calls = Counter(client.calls)
    client.calls.clear()
    return calls


async def scan(client: DynamoClient) -> list[dict[str, Any]]:
    """Read the whole table."""
    return [unmarshal(item) for item in (await client.call("Scan", {}))["Items"]]


async def test_no_event_costs_more_calls_than_it_must(
    store: DynamoStore, client: DynamoClient, clock: Clock
) -> None:
    row = make_row(open_state="pending", context={"a": 1})
    await store.put_connection(row)
    assert take_calls(client) == {"PutItem": 1}
    claim = await store.claim_open(row.id, LEASE)
    assert claim.row is not None
    assert take_calls(client) == {"UpdateItem": 1}
    await store.save(row.id, {"b": 1}, ["a"], open_token=claim.row.open_token)
    assert take_calls(client) == {"UpdateItem": 1}
    await store.get_connection(row.id)
    assert take_calls(client) == {"GetItem": 1}
    await store.save(row.id, {})
    assert take_calls(client) == {}
    await store.subscribe(row, "t")
    await store.unsubscribe(row, "t")
    assert take_calls(client) == {"TransactWriteItems": 2}
    await store.subscribers("t", 0)
    assert take_calls(client) == {"Query": 1}
    await store.delete_subscriptions([])
    assert take_calls(client) == {}
    for n in range(26):
        await store.subscribe(row, f"{n}")
    client.calls.clear()
    claim = await store.claim_close(row.id, LEASE, disconnected=True)
    assert claim.row is not None
    assert take_calls(client) == {"UpdateItem": 1}
    await store.delete_topics(claim.row)
    assert take_calls(client) == {"BatchWriteItem": 2}
    clock.now += CONNECT_TIME
    await store.delete_connection(claim.row)
    assert take_calls(client) == {"DeleteItem": 1}
    assert await scan(client) == []


async def test_end_without_topics_costs_two_writes(store: DynamoStore, client: DynamoClient) -> None:
    row = await connect(store)
    client.calls.clear()
    claim = await store.claim_close(row.id, LEASE)
    assert claim.row is not None
    await store.delete_topics(claim.row)
    await store.delete_connection(claim.row)
    assert take_calls(client) == {"UpdateItem": 1, "PutItem": 1}
    await store.claim_close(row.id, LEASE, disconnected=True)
    assert take_calls(client) == {"UpdateItem": 1}


async def test_sweep_and_walk_cost_a_query_a_slot(store: DynamoStore, client: DynamoClient) -> None:
    await list_pages(lambda start: store.expired(start=start))
    assert take_calls(client) == {"Query": INDEX_PARTITIONS}
    await connect(store)
    client.calls.clear()
    await list_pages(lambda start: store.connections(start=start))
    assert take_calls(client) == {"Query": INDEX_PARTITIONS, "BatchGetItem": 1}


async def test_publish_costs_a_query_a_page_of_each_shard(client: DynamoClient, clock: Clock) -> None:
    store = DynamoStore(client, shards=4, clock=clock)
    ids = [f"{n}=" for n in range(40)]
    rows = [await connect(store, id) for id in ids]
    assert {row.shard for row in rows} == {0, 1, 2, 3}
    await asyncio.gather(*(store.subscribe(row, "t") for row in rows))
    client.calls.clear()
    assert sorted(await list_ids(store, "t")) == sorted(ids)
    assert take_calls(client) == {"Query": 4}
    # A deployment with another number of shards finds the rows of a connection where they were written.
    other = DynamoStore(client, shards=2, clock=clock)
    for row in rows:
        claim = await other.claim_close(row.id, LEASE)
        assert claim.row is not None
        await other.delete_topics(claim.row)
    assert await list_ids(store, "t") == []


async def test_what_a_batch_leaves_undone_is_done_later(client: DynamoClient, clock: Clock) -> None:
    store = DynamoStore(client, clock=clock)
    stingy = StingyClient(client, 10)
    part = DynamoStore(stingy, clock=clock, retry=QUICK)
    for n in range(30):
        await store.subscribe(await connect(store, f"{n}="), "t")
    pages = await list_pages(lambda start: part.connections(start=start))
    assert len([row for page in pages for row in page]) == 30
    page = await store.subscribers("t", 0)
    await part.delete_subscriptions(page.items)
    assert stingy.largest == 25
    assert await list_ids(store, "t") == []


async def test_batch_that_is_never_done_is_given_up(client: DynamoClient, clock: Clock) -> None:
    store = DynamoStore(StingyClient(client, 0), clock=clock, retry=QUICK)
    await store.subscribe(await connect(store), "t")
    page = await store.subscribers("t", 0)
    with pytest.raises(ServiceError, match="left 1 rows of a batch unprocessed, 4 times"):
        await store.delete_subscriptions(page.items)


async def test_row_that_is_written_just_before_the_mark_is_claimed(
    store: DynamoStore, client: DynamoClient, clock: Clock
) -> None:
    row = make_row()
    interrupted = InterruptedClient(client, "PutItem", lambda: store.put_connection(row))
    claim = await DynamoStore(interrupted, clock=clock).claim_close(row.id, LEASE, disconnected=True)
    assert claim.outcome == "claimed"
    assert (await store.claim_close(row.id, LEASE, disconnected=True)).outcome == "running"


async def test_marks_expire(store: DynamoStore, client: DynamoClient, clock: Clock) -> None:
    await store.claim_close("left=", LEASE, disconnected=True)
    await store.delete_connection(await connect(store, "closed="))
    marks = {row["pk"]: row for row in await scan(client)}
    assert {pk: row["mark"] for pk, row in marks.items()} == {"c#left=": LEFT, "c#closed=": CLOSED}
    assert all(clock.now < row[TTL] < clock.now + 3600 for row in marks.values())
    # Neither is in the index.
    assert all(row.keys() == {"pk", "sk", "mark", TTL} for row in marks.values())


async def test_every_row_expires(store: DynamoStore, client: DynamoClient) -> None:
    row = await connect(store)
    await store.subscribe(row, "t")
    assert sorted(item[TTL] - row.expires_at for item in await scan(client)) == [0, 86_400]
    answer = await client.call(
        "UpdateTimeToLive", {"TimeToLiveSpecification": {"AttributeName": TTL, "Enabled": True}}
    )
    assert answer["TimeToLiveSpecification"]["Enabled"]


async def test_no_expression_names_a_reserved_word(client: DynamoClient, clock: Clock) -> None:
    watching = WatchingClient(client)
    store = DynamoStore(watching, clock=clock)
    row = await connect(store, open_state="pending")
    claim = await store.claim_open(row.id, LEASE)
    assert claim.row is not None
    await store.save(row.id, {"a": 1}, ["b"], open_token=claim.row.open_token)
    await store.subscribe(row, "t")
    await store.subscribers("t", 0, namespace="/chat")
    await store.unsubscribe(row, "t")
    await store.connections("/chat")
    await store.expired()
    await store.claim_close(row.id, LEASE)
    await store.claim_close("early=", LEASE, disconnected=True)
    await store.put_connection(make_row("early="))
    words = {word for text in watching.expressions for word in re.findall(r"(?<![:#\w])[a-z_]\w*", text)}
    assert {"close_state", "due", "slot", "mark", "sk", "namespace"} <= words
    reserved = {word.lower() for word in ReservedKeywords.get_reserved_keywords()}
    assert words & reserved == set()


def test_definition_names_each_key_once() -> None:
    definition = table_definition()
    keys = {
        key["AttributeName"]
        for schema in (definition, *definition["GlobalSecondaryIndexes"])
        for key in schema["KeySchema"]
    }
    assert {attribute["AttributeName"] for attribute in definition["AttributeDefinitions"]} == keys
    assert marshal_item({"ttl": 1})["ttl"].keys() == {"N"}
