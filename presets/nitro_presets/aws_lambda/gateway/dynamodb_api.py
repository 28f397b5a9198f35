"""DynamoDB's API: calls are checked here and answered by the local database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nitro_presets.aws_lambda.aws_client.errors import TransportError
from nitro_presets.aws_lambda.aws_client.http import ConnectionPool
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.permissions import Need
from nitro_presets.aws_lambda.gateway.signed_calls import ApiError, CallGuard, answer_error, read_signed

SERVICE = "dynamodb"
# The calls that are under way at once.
CONNECTIONS = 64
# How long the database may take for a call, in seconds.
TIMEOUT = 60.0
# What moto must not get: the fields of this connection.
_OWN = frozenset({"connection", "content-length", "host", "transfer-encoding"})


class DynamoDbApi:
    """The API of DynamoDB in front of a local database, which checks no permissions.

    Args:
        database: The URL of the database.
        prefix: The start of the ARNs of tables.
        guard: The guard of calls.
    """

    def __init__(self, database: str, prefix: str, guard: CallGuard) -> None:
        self._prefix = prefix
        self._guard = guard
        self._pool = ConnectionPool(database, connections=CONNECTIONS, timeout=TIMEOUT)

    async def handle(self, http: HttpConnection, request: GatewayRequest) -> None:
        """Answer a call."""
        operation = (request.get("x-amz-target") or "").rpartition(".")[2]
        body = await read_signed(
            http, request, self._guard, SERVICE, lambda body: list_needs(operation, body, self._prefix)
        )
        if body is None:
            return
        headers = {name: value for name, value in request.headers if name.lower() not in _OWN}
        try:
            answer = await self._pool.request("POST", "/", headers, body)
        except TransportError as error:
            await answer_error(http, 500, ApiError("InternalServerError", str(error)))
            return
        kept = [
            (name, value) for name, value in answer.headers.items() if name.startswith(("content-type", "x-amz"))
        ]
        await http.respond(answer.status, kept, answer.body)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()


def list_needs(operation: str, body: bytes, prefix: str) -> list[Need]:
    """List the permissions that a call of DynamoDB needs.

    Args:
        operation: The operation, such as `Query`.
        body: The body of the call.
        prefix: The start of the ARNs of tables.

    Example:
        >>> list_needs("Query", b'{"TableName": "t", "IndexName": "due"}', "arn:aws:dynamodb:r:0:table/")
        [Need(action='dynamodb:Query', resource='arn:aws:dynamodb:r:0:table/t/index/due')]
    """
    try:
        return list(_find_needs(operation, json.loads(body), prefix))
    except (ValueError, LookupError, TypeError, AttributeError):
        # The database explains what is wrong with a malformed call.
        return []


def _find_needs(operation: str, call: dict[str, Any], prefix: str) -> Iterator[Need]:
    if operation.startswith("Batch"):
        for table in call["RequestItems"]:
            yield Need(f"dynamodb:{operation}", prefix + table)
    elif operation.startswith("Transact"):
        # Each part of a transaction needs the permission of its own action.
        for part in call["TransactItems"]:
            for kind, parameters in part.items():
                action = kind if kind == "ConditionCheck" else f"{kind}Item"
                yield Need(f"dynamodb:{action}", prefix + parameters["TableName"])
    else:
        index = f"/index/{call['IndexName']}" if "IndexName" in call else ""
        yield Need(f"dynamodb:{operation}", prefix + call["TableName"] + index)
