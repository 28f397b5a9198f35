"""The client of SQS."""

from __future__ import annotations

import json

from nitro_presets.aws_lambda.aws_client.credentials import CredentialSource
from nitro_presets.aws_lambda.aws_client.service import (
    DEFAULT_RETRY,
    Retry,
    ServiceClient,
    find_endpoint,
    find_region,
)

_HEADERS = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage"}


class SqsClient:
    """A client that sends to FIFO queues.

    A call without an answer is repeated: the queue drops the second message by its deduplication id.

    Args:
        region: The region; by default `AWS_REGION`.
        endpoint: URL of the service; by default `AWS_ENDPOINT_URL_SQS`, or else the region's.
        credentials: The source of credentials; by default the environment.
        retry: How calls are tried again.
        connections: The most calls that are under way at once.
        timeout: How long a response may take, in seconds.

    Example:
        >>> async def queue(url: str) -> None:
        ...     await SqsClient(region="eu-central-1").send(url, "{}", group="BFHP=", dedup="1")
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
            endpoint or find_endpoint("sqs", region),
            "sqs",
            region=region,
            credentials=credentials,
            retry=retry,
            idempotent=True,
            connections=connections,
            timeout=timeout,
        )

    async def send(self, queue_url: str, body: str, group: str, dedup: str) -> None:
        """Send a message.

        Args:
            queue_url: The URL of the queue.
            body: The message.
            group: The message group id. Messages of one group are received one at a time, in order.
            dedup: The deduplication id. A second message with the same id within five minutes is dropped.

        Raises:
            ServiceError: SQS refused the call, or throttled it too often.
            TransportError: There was no response.
        """
        payload = {
            "QueueUrl": queue_url,
            "MessageBody": body,
            "MessageGroupId": group,
            "MessageDeduplicationId": dedup,
        }
        await self._service.request("POST", "/", _HEADERS, json.dumps(payload).encode())

    async def close(self) -> None:
        """Close all connections; calls on them fail."""
        await self._service.close()
