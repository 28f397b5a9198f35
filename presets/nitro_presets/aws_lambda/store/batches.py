"""Calls of DynamoDB that take many rows at once and may do a part of them only."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from itertools import islice
from typing import Any

from nitro_presets.aws_lambda.client.attributes import marshal_item, unmarshal
from nitro_presets.aws_lambda.client.errors import ServiceError
from nitro_presets.aws_lambda.client.service import Retry
from nitro_presets.aws_lambda.store.contracts import TableClient

# Limits of BatchWriteItem and BatchGetItem.
WRITE_BATCH = 25
READ_BATCH = 100

# Partition and sort key.
Key = tuple[str, str]


async def delete_rows(client: TableClient, keys: Collection[Key], retry: Retry) -> None:
    """Deletes rows, those that are not there too.

    Args:
        client: Calls the table.
        keys: Where the rows are.
        retry: How what DynamoDB leaves undone is tried again.

    Raises:
        ServiceError: DynamoDB left something undone too often.
    """
    rest = iter(dict.fromkeys(keys))
    while batch := list(islice(rest, WRITE_BATCH)):
        requests = [{"DeleteRequest": {"Key": write_key(key)}} for key in batch]
        attempt = 1
        while requests:
            answer = await client.call("BatchWriteItem", {"RequestItems": {client.table: requests}})
            requests = answer.get("UnprocessedItems", {}).get(client.table, [])
            attempt = await _pause(attempt, len(requests), retry)


async def read_rows(client: TableClient, keys: Collection[Key], retry: Retry) -> list[dict[str, Any]]:
    """Reads up to 100 rows as they stand now, in any order; those that are not there are left out.

    Args:
        client: Calls the table.
        keys: Where the rows are, each once.
        retry: How what DynamoDB leaves undone is tried again.

    Raises:
        ServiceError: DynamoDB left something undone too often.
    """
    wanted = [write_key(key) for key in keys]
    rows: list[dict[str, Any]] = []
    attempt = 1
    while wanted:
        request = {"Keys": wanted, "ConsistentRead": True}
        answer = await client.call("BatchGetItem", {"RequestItems": {client.table: request}})
        rows += [unmarshal(item) for item in answer["Responses"].get(client.table, [])]
        wanted = answer.get("UnprocessedKeys", {}).get(client.table, {}).get("Keys", [])
        attempt = await _pause(attempt, len(wanted), retry)
    return rows


def write_key(key: Key) -> dict[str, Any]:
    """Writes a key as DynamoDB's JSON has it."""
    return marshal_item({"pk": key[0], "sk": key[1]})


async def _pause(attempt: int, undone: int, retry: Retry) -> int:
    if undone == 0:
        return attempt
    if attempt >= retry.attempts:
        message = f"DynamoDB left {undone} rows of a batch undone, {attempt} times in a row."
        raise ServiceError(message, status=200, code="Unprocessed")
    await asyncio.sleep(retry.pause(attempt))
    return attempt + 1
