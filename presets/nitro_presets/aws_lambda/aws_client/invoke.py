"""The client of Lambda's Invoke API."""

from __future__ import annotations

from urllib.parse import quote

from nitro_presets.aws_lambda.aws_client.credentials import CredentialSource
from nitro_presets.aws_lambda.aws_client.service import (
    DEFAULT_RETRY,
    Retry,
    ServiceClient,
    find_endpoint,
    find_region,
)

TRACE_HEADER = "x-amzn-trace-id"


class LambdaClient:
    """A client that invokes functions asynchronously: Lambda answers before the function runs.

    An invocation that may have been accepted is not repeated.

    Args:
        region: The region; by default `AWS_REGION`.
        endpoint: URL of the service; by default `AWS_ENDPOINT_URL_LAMBDA`, or else the region's.
        credentials: The source of credentials; by default the environment.
        retry: How calls are tried again.
        connections: The most calls that are under way at once.
        timeout: How long a response may take, in seconds.

    Example:
        >>> async def start(function: str) -> None:
        ...     await LambdaClient(region="eu-central-1").invoke_async(function, b"{}", trace=None)
    """

    def __init__(
        self,
        *,
        region: str | None = None,
        endpoint: str | None = None,
        credentials: CredentialSource | None = None,
        retry: Retry = DEFAULT_RETRY,
        connections: int = 16,
        timeout: float = 10.0,
    ) -> None:
        region = region or find_region()
        self._service = ServiceClient(
            endpoint or find_endpoint("lambda", region),
            "lambda",
            region=region,
            credentials=credentials,
            retry=retry,
            connections=connections,
            timeout=timeout,
        )

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
