"""The client of SQS."""

from __future__ import annotations

import json
from typing import Unpack

from nitro_presets.aws_lambda.aws_client.service import ClientOptions, make_service

_HEADERS = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage"}


class SqsClient:
    """A client that sends to FIFO queues.

    A call without an answer is repeated: the queue drops the second message by its deduplication id.

    Args:
        options: How the client is made.

    Example:
        >>> async def queue(url: str) -> None:
        ...     await SqsClient(region="eu-central-1").send(url, "{}", group="BFHP=", dedup="1")
    """

    def __init__(self, **options: Unpack[ClientOptions]) -> None:
        self._service = make_service("sqs", idempotent=True, **options)

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
