"""The table of costs in `docs/deployment.md`, computed from the calls that each event makes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from nitro_presets.aws_lambda.store.dynamodb import DynamoStore
from nitro_py.peer import Peer
from tests.docs.pages import find_table, read_page
from tests.presets.aws_lambda.store.stores import make_table
from tests.presets.aws_lambda.websocket.events import ID, connecting, leaving, record, saying
from tests.presets.aws_lambda.websocket.stage import Cloud
from tests.presets.aws_lambda.websocket.test_connect import BROWSER

pytestmark = pytest.mark.anyio

# USD for a million, in us-east-1: list prices, without free tiers.
WRITE = 0.625
READ = 0.125
INVOCATION = 0.20
POST = 1.00
QUEUED = 0.50
GB_SECOND = 0.0000166667
FARGATE_CPU = 0.04048
FARGATE_GB = 0.004445
# What the index has of a row.
PROJECTED = ("pk", "sk", "slot", "due", "namespace")


class MeteredClient:
    """A client of the table that counts the units that DynamoDB bills, those of the index included."""

    def __init__(self, client: DynamoClient) -> None:
        self._client = client
        self.table = client.table
        self.writes = 0.0
        self.reads = 0.0

    @property
    def usd(self) -> float:
        """What the calls cost, in USD for a million of each."""
        return self.writes * WRITE + self.reads * READ

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Make a call."""
        keys = list_keys(operation, payload, self.table)
        before = [await self._read(key) for key in keys]
        answer = await self._client.call(operation, payload)
        if operation in ("GetItem", "Query"):
            size = sum(map(measure, answer.get("Items", [answer.get("Item", {})])))
            consistent = 1.0 if payload.get("ConsistentRead") else 0.5
            self.reads += consistent * max(1, math.ceil(size / 4096))
            return answer
        assert keys, f"{operation} is not metered"
        double = 2 if operation.startswith("Transact") else 1
        for key, old in zip(keys, before, strict=True):
            new = await self._read(key)
            size = max(measure(old), measure(new))
            self.writes += double * max(1, math.ceil(size / 1024)) + count_index_writes(old, new)
        return answer

    async def _read(self, key: dict[str, Any]) -> dict[str, Any]:
        answer = await self._client.call("GetItem", {"Key": key, "ConsistentRead": True})
        found: dict[str, Any] = answer.get("Item", {})
        return found


def list_keys(operation: str, payload: dict[str, Any], table: str) -> list[dict[str, Any]]:
    """List the keys of the rows that a call writes."""
    match operation:
        case "PutItem":
            return [pick_key(payload["Item"])]
        case "UpdateItem" | "DeleteItem":
            return [payload["Key"]]
        case "BatchWriteItem":
            return [request["DeleteRequest"]["Key"] for request in payload["RequestItems"][table]]
        case "TransactWriteItems":
            parts = [part for item in payload["TransactItems"] for part in item.values()]
            return [part["Key"] if "Key" in part else pick_key(part["Item"]) for part in parts]
    return []


def pick_key(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the key of an item."""
    return {"pk": item["pk"], "sk": item["sk"]}


def measure(item: Mapping[str, Any]) -> int:
    """Return the size of an item as DynamoDB counts it: the names and values, a number as half its digits."""
    size = 0
    for name, value in item.items():
        ((kind, content),) = value.items()
        size += len(name.encode()) + (len(content) // 2 + 2 if kind == "N" else len(str(content).encode()))
    return size


def count_index_writes(old: Mapping[str, Any], new: Mapping[str, Any]) -> int:
    """Count the writes of the index that a write of a row makes."""
    was, now = ({name: row.get(name) for name in PROJECTED} if "slot" in row else None for row in (old, new))
    if was == now:
        return 0
    moved = was is not None and now is not None and (was["slot"], was["due"]) != (now["slot"], now["due"])
    return 2 if moved else 1


async def price_events(database: str, *, ordered: bool) -> dict[str, float]:
    """Run a connection through its life, and return what each event costs."""
    prices: dict[str, float] = {}

    async def message(peer: Peer, message: Any) -> None:
        match message.text():
            case "context":
                peer.context["a"] = 1
            case "send":
                await peer.send("x")
            case "subscribe":
                await peer.subscribe("news")

    async with make_table(database) as table:
        for hooks in ({"message": message}, {"message": message, "open": lambda peer: None}):
            client = MeteredClient(table)
            cloud = Cloud(hooks, store=DynamoStore(client), ordered=ordered)

            async def price(
                name: str,
                event: dict[str, Any],
                *,
                fixed: float,
                cloud: Cloud = cloud,
                client: MeteredClient = client,
            ) -> None:
                before, invocations, queued = client.usd, len(cloud.sent), len(cloud.queued)
                posts = cloud.management.requests
                await cloud.run(event)
                await cloud.settle()
                for _, _, work in cloud.queued[queued:]:
                    await cloud.run(record(work))
                prices[name] = (
                    fixed
                    + client.usd
                    - before
                    + INVOCATION * (1 + len(cloud.sent) - invocations + len(cloud.queued) - queued)
                    # A message is sent to the queue, received and deleted.
                    + 3 * QUEUED * (len(cloud.queued) - queued)
                    + POST * (cloud.management.requests - posts)
                )

            opened = "open" in hooks
            id = f"{'b' if opened else 'a'}{ID[1:]}"
            await price("connect, open hook" if opened else "connect", connecting(id, **BROWSER), fixed=0)
            for text in ("message", "context", "send", "subscribe"):
                said = saying(id, "" if text == "message" else text)
                fixed = POST + 3 * QUEUED * ordered
                await price(text, record(said) if ordered else said, fixed=fixed)
            row = await cloud.store.get_connection(id)
            assert row is not None
            await cloud.store.unsubscribe(row, "news")
            await price("disconnect", leaving(id), fixed=0)
    plain = prices["message"]
    return prices | {"send": prices["send"] - plain, "subscribe": prices["subscribe"] - plain}


def cents(usd: float) -> str:
    """Return a price as text; half a cent is rounded up."""
    return f"{usd + 1e-9:.2f}"


def read_column(column: int) -> dict[str, str]:
    """Read a column of the table: a cell's text by the event's name."""
    return {row[0]: row[column].strip() for row in find_table("event", "docs/deployment.md")}


@pytest.mark.parametrize("ordered", [False, True])
async def test_table_has_what_the_calls_cost(database: str, ordered: bool) -> None:
    prices = await price_events(database, ordered=ordered)
    computed = {
        "connect": f"{cents(prices['connect'])}; {cents(prices['connect, open hook'])}",
        "message": f"{cents(prices['message'])}; {cents(prices['context'])}",
        "send": cents(prices["send"]),
        "subscribe, unsubscribe": cents(prices["subscribe"]),
        "disconnect": cents(prices["disconnect"]),
        "HTTP request, by function URL": cents(INVOCATION),
    }
    written = read_column(3 if ordered else 2)
    assert {name: written[name] for name in computed} == computed


def test_text_has_what_a_month_costs() -> None:
    page = " ".join(read_page("docs/deployment.md").split())
    month = 30 * 24 * 3600
    posts = 30 * month / 1_000_000
    assert f"30 deliveries a second are {posts:.0f} million posts, and so {posts * POST:.0f} USD, a month" in page
    hours = 730
    assert f"on Fargate {hours * (0.25 * FARGATE_CPU + 0.5 * FARGATE_GB):.0f} USD a month" in page
    # A stream's environment is billed for all of its time, at 512 MB.
    assert f"{0.5 * month * GB_SECOND:.0f} USD a month if a client always listens" in page
    assert f"Each 10 ms of a function of 512 MB add {0.5 * 0.01 * GB_SECOND * 1_000_000:.2f} to its line" in page
