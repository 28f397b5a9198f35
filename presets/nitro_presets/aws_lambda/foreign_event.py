"""Events that are for no function of an app, such as those that keep a function warm."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger("nitro_py.aws")


def ignore_event(event: object, expected: str) -> dict[str, Any]:
    """Log an event that is not for this function, and return an answer that no client takes for one of the app.

    Args:
        event: The event.
        expected: What the function takes.
    """
    logger.warning("Ignored an event of %s: expected %s.", describe_event(event), expected)
    return {"statusCode": 400, "headers": {}, "body": "", "isBase64Encoded": False}


def describe_event(event: object) -> str:
    """Name the service that an event comes from, as far as the event tells.

    Example:
        >>> describe_event({"source": "aws.events", "detail-type": "Scheduled Event"})
        'EventBridge (Scheduled Event)'
    """
    if not isinstance(event, dict):
        return f"another kind (a JSON {type(event).__name__})"
    records = event.get("Records")
    if isinstance(records, list) and records and isinstance(records[0], dict):
        if "cf" in records[0]:
            return "Lambda@Edge"
        return str(
            records[0].get("eventSource") or records[0].get("EventSource") or "an unknown source of records"
        )
    if "detail-type" in event:
        return f"EventBridge ({event['detail-type']})"
    if event.get("type") in ("REQUEST", "TOKEN"):
        return "API Gateway for an authorizer"
    context = event.get("requestContext")
    if isinstance(context, dict):
        if "serviceArn" in context or "serviceNetworkArn" in context:
            return "VPC Lattice"
        if "eventType" in context:
            return f"a WebSocket API ({context['eventType']})"
        if "http" in context or "elb" in context or "httpMethod" in event:
            return "an HTTP source"
    if "raw_path" in event:
        return "VPC Lattice"
    if "source" in event:
        return f"`{event['source']}`"
    return f"another kind (with the keys {', '.join(sorted(map(str, event))) or 'of an empty object'})"
