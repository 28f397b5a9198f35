"""DynamoDB's API: calls are checked here and answered by the local database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nitro_presets.aws_lambda.aws_client.errors import TransportError
from nitro_presets.aws_lambda.aws_client.http import ConnectionPool
from nitro_presets.aws_lambda.gateway.fault_injection import Faults
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
_THROTTLED = ApiError(
    "ProvisionedThroughputExceededException", "The level of configured provisioned throughput was exceeded."
)
# Where the answer of a batch has what was not done.
_UNPROCESSED = {"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}


class DynamoDbApi:
    """The API of DynamoDB in front of a local database, which checks no permissions.

    Args:
        database: The URL of the database.
        prefix: The start of the ARNs of tables.
        guard: The guard of calls.
        faults: The faults to inject.
    """

    def __init__(self, database: str, prefix: str, guard: CallGuard, faults: Faults) -> None:
        self._prefix = prefix
        self._faults = faults
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
        left: dict[str, Any] = {}
        if self._faults.hits("dynamodb_throttle"):
            body, left = halve_batch(operation, body)
            if not left:
                await self._throttle(http, operation, body)
                return
        try:
            answer = await self._pool.request("POST", "/", headers, body)
        except TransportError as error:
            await answer_error(http, 500, ApiError("InternalServerError", str(error)))
            return
        if self._faults.hits("lost_answer"):
            http.abort()
            return
        kept = [
            (name, value) for name, value in answer.headers.items() if name.startswith(("content-type", "x-amz"))
        ]
        if left and answer.status == 200:
            # The checksum is that of the whole answer.
            kept = [(name, value) for name, value in kept if name != "x-amz-crc32"]
            content = {**json.loads(answer.body), _UNPROCESSED[operation]: left}
            await http.respond(200, kept, json.dumps(content).encode())
            return
        await http.respond(answer.status, kept, answer.body)

    async def _throttle(self, http: HttpConnection, operation: str, body: bytes) -> None:
        if not operation.startswith("Transact"):
            await answer_error(http, 400, _THROTTLED)
            return
        reasons = [{"Code": "None"} for _ in json.loads(body)["TransactItems"]]
        reasons[0] = {"Code": "ThrottlingError", "Message": _THROTTLED.message}
        code = "TransactionCanceledException"
        content = {"__type": code, "message": "Transaction cancelled.", "CancellationReasons": reasons}
        await http.respond_json(400, content, [("x-amzn-ErrorType", code)])

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()


def halve_batch(operation: str, body: bytes) -> tuple[bytes, dict[str, Any]]:
    """Return the first half of a batch as a call, and the other half; all of another call and nothing.

    Args:
        operation: The operation, such as `BatchWriteItem`.
        body: The body of the call.

    Example:
        >>> halve_batch("BatchGetItem", b'{"RequestItems": {"t": {"Keys": [1, 2]}}}')
        (b'{"RequestItems": {"t": {"Keys": [1]}}}', {'t': {'Keys': [2]}})
    """
    if operation not in _UNPROCESSED:
        return body, {}
    call = json.loads(body)
    kept: dict[str, Any] = {}
    left: dict[str, Any] = {}
    for table, requests in call["RequestItems"].items():
        items = requests["Keys"] if isinstance(requests, dict) else requests
        half = len(items) // 2
        for found, part in ((kept, items[:half]), (left, items[half:])):
            if part:
                found[table] = {**requests, "Keys": part} if isinstance(requests, dict) else part
    # A batch of which nothing can be done is an error.
    return (json.dumps({**call, "RequestItems": kept}).encode(), left) if kept else (body, {})


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
