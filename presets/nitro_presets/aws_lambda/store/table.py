"""The definition of the DynamoDB table."""

from __future__ import annotations

from typing import Any

INDEX = "due"
TTL = "ttl"


def table_definition() -> dict[str, Any]:
    """Return the parameters of `CreateTable` without the table's name.

    Rows expire by the attribute `ttl`, for which `UpdateTimeToLive` is called.

    Example:
        >>> table_definition()["BillingMode"]
        'PAY_PER_REQUEST'
    """
    types = {"pk": "S", "sk": "S", "slot": "S", "due": "N"}
    return {
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()],
        "KeySchema": _key("pk", "sk"),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": INDEX,
                "KeySchema": _key("slot", "due"),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["namespace"]},
            }
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }


def _key(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]
