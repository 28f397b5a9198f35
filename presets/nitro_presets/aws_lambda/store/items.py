"""Calls of DynamoDB: about one row, about batches of rows, and about a page of the index."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any, Literal

from nitro_presets.aws_lambda.aws_client.attributes import marshal_item, unmarshal
from nitro_presets.aws_lambda.aws_client.errors import ConditionFailedError, ServiceError
from nitro_presets.aws_lambda.aws_client.service import Retry
from nitro_presets.aws_lambda.store.contract import Page, TableClient
from nitro_presets.aws_lambda.store.keys import (
    CONNECTION_SORT,
    INDEX_PARTITIONS,
    connection_partition,
    name_index_partition,
    read_cursor,
    write_cursor,
)
from nitro_presets.aws_lambda.store.table import INDEX

# The most items of BatchWriteItem and BatchGetItem.
WRITE_BATCH = 25
READ_BATCH = 100

# Partition and sort key.
Key = tuple[str, str]


async def put_row(
    client: TableClient,
    row: Mapping[str, object],
    condition: str | None = None,
    values: Mapping[str, object] | None = None,
) -> None:
    """Write a whole row.

    Args:
        client: The client of the table.
        row: The row's values.
        condition: The condition expression, if there is one.
        values: The attribute values of the expression.

    Raises:
        ConditionFailedError: The condition is not met; the error holds the row as it is.
    """
    payload: dict[str, Any] = {"Item": marshal_item(row)}
    if condition is not None:
        payload["ConditionExpression"] = condition
        payload["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    if values:
        payload["ExpressionAttributeValues"] = marshal_item(values)
    await client.call("PutItem", payload)


async def update_row(
    client: TableClient,
    id: str,
    change: str,
    condition: str,
    values: Mapping[str, object],
    *,
    names: Mapping[str, str] | None = None,
    answer: Literal["ALL_NEW", "NONE"] = "NONE",
) -> tuple[bool, Mapping[str, Any]]:
    """Change a connection's row.

    Args:
        client: The client of the table.
        id: The connection's id.
        change: The update expression.
        condition: The condition expression.
        values: The attribute values of both expressions.
        names: The attribute names of both expressions.
        answer: Whether to return the row after a change.

    Returns:
        Whether the row was changed, and its values: after the change, if `answer` says so, or as they are if it
        was not changed. They are empty if there is no row.
    """
    payload: dict[str, Any] = {
        "Key": write_connection_key(id),
        "UpdateExpression": change,
        "ConditionExpression": condition,
        "ReturnValues": answer,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    if values:
        payload["ExpressionAttributeValues"] = marshal_item(values)
    if names:
        payload["ExpressionAttributeNames"] = dict(names)
    try:
        changed = await client.call("UpdateItem", payload)
    except ConditionFailedError as error:
        return False, error.item or {}
    return True, unmarshal(changed.get("Attributes", {}))


async def query_index(
    client: TableClient,
    condition: str,
    now: float,
    *,
    start: str | None,
    limit: int,
    namespace: str | None = None,
) -> Page[str]:
    """List a page of connection ids, by the time when the sweep looks at them.

    Args:
        client: The client of the table.
        condition: A key condition that compares `due` with `:now`.
        now: The time, in seconds since the epoch.
        start: The `next` of the page before.
        limit: The most rows that are read.
        namespace: Only connections of this namespace.
    """
    slot, due, partition = read_cursor(start)
    values: dict[str, object] = {":slot": name_index_partition(slot), ":now": now}
    query: dict[str, Any] = {
        "IndexName": INDEX,
        "KeyConditionExpression": f"slot = :slot AND {condition}",
        "Limit": limit,
    }
    if namespace is not None:
        query["FilterExpression"] = "namespace = :namespace"
        values[":namespace"] = namespace
    query["ExpressionAttributeValues"] = marshal_item(values)
    if partition is not None:
        last = {"slot": name_index_partition(slot), "due": due, "pk": partition, "sk": CONNECTION_SORT}
        query["ExclusiveStartKey"] = marshal_item(last)
    answer = await client.call("Query", query)
    ids = tuple(item["pk"]["S"].removeprefix(connection_partition("")) for item in answer["Items"])
    if "LastEvaluatedKey" in answer:
        reached = unmarshal(answer["LastEvaluatedKey"])
        return Page(ids, write_cursor(slot, reached["due"], reached["pk"]))
    return Page(ids, write_cursor(slot + 1) if slot + 1 < INDEX_PARTITIONS else None)


def write_connection_key(id: str) -> dict[str, Any]:
    """Write the key of a connection's row in DynamoDB's JSON."""
    return write_key((connection_partition(id), CONNECTION_SORT))


async def delete_rows(client: TableClient, keys: Collection[Key], retry: Retry) -> None:
    """Delete rows; those that do not exist are no error.

    Args:
        client: The client of the table.
        keys: The keys of the rows.
        retry: How unprocessed items are tried again.

    Raises:
        ServiceError: DynamoDB left items unprocessed too often.
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
    """Read up to 100 rows with consistent reads, in any order; those that do not exist are left out.

    Args:
        client: The client of the table.
        keys: The keys of the rows, each once.
        retry: How unprocessed keys are tried again.

    Raises:
        ServiceError: DynamoDB left keys unprocessed too often.
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
    """Write a key in DynamoDB's JSON."""
    return marshal_item({"pk": key[0], "sk": key[1]})


async def _pause(attempt: int, unprocessed: int, retry: Retry) -> int:
    if unprocessed == 0:
        return attempt
    if attempt >= retry.attempts:
        message = f"DynamoDB left {unprocessed} rows of a batch unprocessed, {attempt} times in a row."
        raise ServiceError(message, status=200, code="Unprocessed")
    await asyncio.sleep(retry.pause(attempt))
    return attempt + 1
