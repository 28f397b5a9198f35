"""The client of Lambda's Invoke API."""

from __future__ import annotations

from typing import Unpack
from urllib.parse import quote

from nitro_presets.aws_lambda.aws_client.service import ClientOptions, make_service

TRACE_HEADER = "x-amzn-trace-id"


class LambdaClient:
    """A client that invokes functions asynchronously: Lambda answers before the function runs.

    An invocation that may have been accepted is not repeated.

    Args:
        options: How the client is made.

    Example:
        >>> async def start(function: str) -> None:
        ...     await LambdaClient(region="eu-central-1").invoke_async(function, b"{}", trace=None)
    """

    def __init__(self, **options: Unpack[ClientOptions]) -> None:
        self._service = make_service("lambda", **options)

    async def invoke_async(self, function: str, payload: bytes, *, trace: str | None) -> None:
        """Invoke a function with an event.

        Args:
            function: The function's name or ARN.
            payload: The event as JSON.
            trace: The value of `X-Amzn-Trace-Id`, by which Lambda stops recursive loops.

        Raises:
            ServiceError: Lambda refused the call, or throttled it too often.
            TransportError: There was no response; the function may run.
        """
        headers = {"content-type": "application/json", "x-amz-invocation-type": "Event"}
        if trace:
            headers[TRACE_HEADER] = trace
        path = f"/2015-03-31/functions/{quote(function, safe='')}/invocations"
        await self._service.request("POST", path, headers, payload)

    async def close(self) -> None:
        """Close all connections; calls on them fail."""
        await self._service.close()
