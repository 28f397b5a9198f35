"""API Gateway's events."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

from tests.presets.aws_lambda.websocket.stage import PATH

ID = "BFHPhfCWIAMCKlQ="
_NUMBERS = itertools.count(18_850_000_000_000_000_000, 256)


def make_event(kind: str, id: str, **values: Any) -> dict[str, Any]:
    """Make an event of API Gateway's."""
    context = {
        "eventType": kind,
        "connectionId": id,
        "stage": "prod",
        "domainName": "api.test",
        "identity": {"sourceIp": "1.2.3.4"},
        **values.pop("context", {}),
    }
    return {"requestContext": context, "isBase64Encoded": False, **values}


def connecting(id: str, path: str = PATH, **headers: str) -> dict[str, Any]:
    """Make a `$connect` event."""
    return make_event(
        "CONNECT",
        id,
        headers={"Host": "api.test", **headers},
        queryStringParameters={"nitro_path": path, "name": "ada"},
    )


def saying(id: str, text: str) -> dict[str, Any]:
    """Make a `$default` event."""
    return make_event("MESSAGE", id, body=text, context={"messageId": "m="})


def leaving(id: str, code: int = 1001) -> dict[str, Any]:
    """Make a `$disconnect` event."""
    return make_event("DISCONNECT", id, context={"disconnectStatusCode": code, "disconnectReason": "away"})


def record(event: dict[str, Any], number: int = 0) -> dict[str, Any]:
    """Make a queue's batch of one, as the template of the API has it."""
    if "body" in event:
        event = {**event, "body": base64.b64encode(event["body"].encode()).decode(), "isBase64Encoded": True}
    attributes = {"SequenceNumber": str(number or next(_NUMBERS))}
    return {"Records": [{"eventSource": "aws:sqs", "body": json.dumps(event), "attributes": attributes}]}
