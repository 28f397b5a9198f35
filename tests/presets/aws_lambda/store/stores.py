"""Stores to try, and what is put into them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from nitro_presets.aws_lambda.store.contract import ConnectionRow, ConnectionStore, Page, Subscription
from nitro_presets.aws_lambda.store.table import table_definition
from tests.presets.aws_lambda.aws_client.service_double import REGION, FixedSource

START = 1_700_000_000.25
LIFE = 7200
LEASE = 30.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class RepeatingClient:
    """A client that makes every call twice and returns the second answer, as after a lost first one."""

    def __init__(self, client: DynamoClient) -> None:
        self._client = client
        self.table = client.table

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Make a call."""
        try:
            await self._client.call(operation, payload)
        finally:
            # What the first was told is lost, an error too.
            return await self._client.call(operation, payload)  # noqa: B012


@asynccontextmanager
async def make_table(endpoint: str) -> AsyncIterator[DynamoClient]:
    """Make a table, and a client to call it."""
    client = DynamoClient(f"t{uuid4().hex}", region=REGION, endpoint=endpoint, credentials=FixedSource())
    await client.call("CreateTable", table_definition())
    client.calls.clear()
    try:
        yield client
    finally:
        await client.call("DeleteTable", {})
        await client.close()


def make_row(id: str = "BFHPhfCWIAMCKlQ=", **values: Any) -> ConnectionRow:
    """Make a connection that has just been accepted."""
    given: dict[str, Any] = {
        "route": "/api/ws/[room]",
        "url": "wss://host/api/ws/chat?name=ada",
        "namespace": "/api/ws/chat",
        "connected_at": START,
        "expires_at": int(START) + LIFE,
    }
    return ConnectionRow(id, **{**given, **values})


async def connect(store: ConnectionStore, id: str = "BFHPhfCWIAMCKlQ=", **values: Any) -> ConnectionRow:
    """Put a connection into a store, and read it."""
    assert await store.put_connection(make_row(id, **values))
    row = await store.get_connection(id)
    assert row is not None
    return row


async def list_pages(read: Callable[[str | None], Awaitable[Page[Any]]]) -> list[tuple[Any, ...]]:
    """Read every page of a list."""
    pages = []
    start: str | None = None
    while True:
        page = await read(start)
        pages.append(page.items)
        if page.next is None:
            return pages
        start = page.next


async def list_subscribers(store: ConnectionStore, topic: str, namespace: str | None = None) -> list[Subscription]:
    """List a topic's subscribers, shard by shard."""
    found: list[Subscription] = []
    for shard in range(store.shards):
        for page in await list_pages(
            lambda start, shard=shard: store.subscribers(topic, shard, namespace=namespace, start=start)  # type: ignore[misc]
        ):
            found += page
    return found


async def list_ids(store: ConnectionStore, topic: str, namespace: str | None = None) -> list[str]:
    """List the ids of a topic's subscribers."""
    return [subscriber.id for subscriber in await list_subscribers(store, topic, namespace)]


async def list_expired(store: ConnectionStore) -> set[str]:
    """List what the sweep finds."""
    return {id for page in await list_pages(lambda start: store.expired(start=start)) for id in page}
