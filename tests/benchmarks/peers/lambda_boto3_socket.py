"""A WebSocket function as AWS's tutorials write it: reads the connection by boto3, and answers its message."""

from __future__ import annotations

import os
from typing import Any

import boto3  # type: ignore[import-untyped]

dynamodb = boto3.client("dynamodb")
management = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["NITRO_CALLBACK_URL"])


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    connection_id = event["requestContext"]["connectionId"]
    key = {"pk": {"S": f"c#{connection_id}"}, "sk": {"S": "c"}}
    found = dynamodb.get_item(TableName=os.environ["NITRO_TABLE"], Key=key, ConsistentRead=True)
    if "Item" not in found:
        return {"statusCode": 410}
    management.post_to_connection(ConnectionId=connection_id, Data=event["body"].encode())
    return {"statusCode": 200}
