"""The client of DynamoDB."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Unpack

from nitro_presets.aws_lambda.aws_client.attributes import marshal, marshal_item, unmarshal, unmarshal_value
from nitro_presets.aws_lambda.aws_client.errors import ConditionFailedError, ServiceError
from nitro_presets.aws_lambda.aws_client.service import ClientOptions, list_reasons, make_service

__all__ = ["DynamoClient", "marshal", "marshal_item", "unmarshal", "unmarshal_value"]

# The API version, as the header names it.
_TARGET = "DynamoDB_20120810."
_CONDITION = "ConditionalCheckFailed"


class DynamoClient:
    """A client of DynamoDB, which counts its calls.

    A call without an answer is repeated, as AWS's SDKs do. A conditional write may then find its own result.

    Args:
        table: The table of calls that name none.
        options: How the client is made.

    Example:
        >>> async def read(key: str) -> dict[str, Any]:
        ...     client = DynamoClient("table", region="eu-central-1")
        ...     answer = await client.call("GetItem", {"Key": marshal_item({"pk": key})})
        ...     return unmarshal(answer["Item"])
    """

    def __init__(self, table: str, **options: Unpack[ClientOptions]) -> None:
        self.table = table
        # A call that is tried again is counted once.
        self.calls: Counter[str] = Counter()
        self._service = make_service("dynamodb", idempotent=True, **options)

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Make a call.

        Args:
            operation: The name of the operation, such as `GetItem`.
            payload: Its parameters. `TableName` is added if the operation is about one table.

        Returns:
            DynamoDB's response.

        Raises:
            ConditionFailedError: The condition of the write, or of one in the transaction, is not met.
            ServiceError: DynamoDB refused the call, or throttled it too often.
            TransportError: There was no response.
        """
        self.calls[operation] += 1
        if not operation.startswith(("Batch", "Transact", "List")):
            payload = {"TableName": self.table, **payload}
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": _TARGET + operation}
        body = json.dumps(payload, separators=(",", ":")).encode()
        try:
            response = await self._service.request("POST", "/", headers, body)
        except ServiceError as error:
            condition = _read_condition(error)
            if condition is None:
                raise
            raise condition from error
        answer: dict[str, Any] = json.loads(response.body)
        return answer

    async def close(self) -> None:
        """Close all connections; calls on them fail."""
        await self._service.close()


def _read_condition(error: ServiceError) -> ConditionFailedError | None:
    reasons = list_reasons(error)
    if error.code != _CONDITION + "Exception" and _CONDITION not in reasons:
        return None
    item = error.details.get("Item")
    return ConditionFailedError(
        error.message, code=error.code, item=unmarshal(item) if item else None, reasons=reasons
    )
