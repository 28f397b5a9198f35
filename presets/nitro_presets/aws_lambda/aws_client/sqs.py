"""Sends messages to SQS."""

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
    """Sends to FIFO queues.

    A message without an answer is sent again: the queue drops what it has by the deduplication id.

    Args:
        region: The region; by default `AWS_REGION`.
        endpoint: URL of the service; by default `AWS_ENDPOINT_URL_SQS`, or else the region's.
        credentials: Where credentials come from; by default the environment.
        retry: How calls are tried again.
        connections: How many calls are under way at most.
        timeout: How long an answer may take, in seconds.

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
            repeat=True,
            connections=connections,
            timeout=timeout,
        )

    async def send(self, queue_url: str, body: str, group: str, dedup: str) -> None:
        """Send a message.

        Args:
            queue_url: The queue.
            body: The message.
            group: Messages of one group are received one at a time, in order.
            dedup: A message with an id that the queue got within five minutes is dropped.

        Raises:
            ServiceError: SQS refused, for good or too often.
            TransportError: There was no answer.
        """
        payload = {
            "QueueUrl": queue_url,
            "MessageBody": body,
            "MessageGroupId": group,
            "MessageDeduplicationId": dedup,
        }
        await self._service.request("POST", "/", _HEADERS, json.dumps(payload).encode())

    async def close(self) -> None:
        """End all connections to the service, and the calls on them."""
        await self._service.close()
