"""A Lambda function without a framework: as little as answers a JSON event."""

from __future__ import annotations

import json
from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    if event["requestContext"]["http"]["method"] != "GET":
        return {"statusCode": 405}
    body = json.dumps({"message": "hello"})
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body}
