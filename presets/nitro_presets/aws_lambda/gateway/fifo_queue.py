"""An SQS FIFO queue between API Gateway and the function: the messages of a group one at a time, in order."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import logging
import time
from collections import deque
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

from nitro_presets.aws_lambda.gateway.background_tasks import BackgroundTasks
from nitro_presets.aws_lambda.gateway.connections import now
from nitro_presets.aws_lambda.gateway.formats import make_request_id
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.invocation import InvocationError, collect
from nitro_presets.aws_lambda.gateway.permissions import Need, read_resources
from nitro_presets.aws_lambda.gateway.pool import FunctionPool
from nitro_presets.aws_lambda.gateway.quotas import MIB, Quotas
from nitro_presets.aws_lambda.gateway.signed_calls import (
    ApiError,
    CallGuard,
    answer_error,
    answer_json,
    read_signed,
)
from nitro_presets.aws_lambda.gateway.websocket_events import LambdaEvent
from nitro_py.errors import NitroError

logger = logging.getLogger("nitro_py.aws.gateway")

SERVICE = "sqs"
TARGET = "AmazonSQS.SendMessage"
MAX_MESSAGE = MIB
# The deduplication interval, in seconds.
DEDUPLICATION_INTERVAL = 300.0
# The fields of `requestContext` that the stack's mapping template keeps.
_KEPT = (
    "routeKey",
    "eventType",
    "messageId",
    "connectionId",
    "requestId",
    "requestTimeEpoch",
    "connectedAt",
    "apiId",
    "domainName",
    "stage",
    "identity",
)


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """What the template says of the queue and of the function's event source.

    Args:
        visibility: How long a message is hidden once it was received, in seconds.
        receives: How often a message is received before it is a dead letter.
        batch: The most messages of an invocation.
    """

    visibility: float
    receives: int
    batch: int


def read_queue(template: Path, limits: Quotas) -> QueueSettings:
    """Read the queue's settings from a template.

    Args:
        template: The template beside the bundle.
        limits: The quotas, which may replace them.

    Raises:
        NitroError: The template is broken.
    """
    resources = read_resources(template)
    try:
        queue = resources["MessageQueue"]["Properties"]
        visibility, receives = queue["VisibilityTimeout"], queue["RedrivePolicy"]["maxReceiveCount"]
        batch = resources["MessageSource"]["Properties"]["BatchSize"]
        return QueueSettings(
            visibility=float(visibility) if limits.visibility is None else limits.visibility,
            receives=int(receives) if limits.receives is None else limits.receives,
            batch=int(batch),
        )
    except (LookupError, TypeError, ValueError) as error:
        message = f"The template's queue is broken: {type(error).__name__}: {error}"
        raise NitroError(message, file=str(template)) from None


class FifoQueue:
    """A FIFO queue that invokes a function.

    Messages whose invocation fails are received again once their visibility time-out has passed, and hold up
    their group until then. One that was received too often is a dead letter.

    Args:
        url: The queue's URL.
        arn: The queue's ARN.
        region: The queue's region.
        pool: The function.
        guard: The guard of calls.
        settings: What the template says.
    """

    def __init__(
        self, url: str, arn: str, region: str, pool: FunctionPool, guard: CallGuard, settings: QueueSettings
    ) -> None:
        self.url = url
        self.dead_letters: list[str] = []
        self._arn = arn
        self._region = region
        self._pool = pool
        self._guard = guard
        self._settings = settings
        self._groups: dict[str, deque[dict[str, Any]]] = {}
        self._seen: dict[tuple[str, str], tuple[float, dict[str, str]]] = {}
        self._numbers = itertools.count(18_850_000_000_000_000_000, 256)
        self._tasks = BackgroundTasks()

    def send(self, body: str, group: str, dedup: str) -> dict[str, str]:
        """Add a message to the end of its group, unless it is a duplicate.

        Returns:
            The response of SendMessage.
        """
        self._forget()
        seen = self._seen.get((group, dedup))
        if seen is not None:
            return seen[1]
        digest = md5(body.encode()).hexdigest()
        number = str(next(self._numbers))
        sent = {"MessageId": make_request_id(), "MD5OfMessageBody": digest, "SequenceNumber": number}
        self._seen[(group, dedup)] = (time.monotonic(), sent)
        stamp = str(now())
        record = {
            "messageId": sent["MessageId"],
            "receiptHandle": base64.b64encode(make_request_id().encode()).decode(),
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": stamp,
                "SequenceNumber": number,
                "MessageGroupId": group,
                "SenderId": "AIDALOCAL",
                "MessageDeduplicationId": dedup,
                "ApproximateFirstReceiveTimestamp": stamp,
            },
            "messageAttributes": {},
            "md5OfBody": digest,
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": self._region,
        }
        waiting = self._groups.get(group)
        if waiting is None:
            self._groups[group] = deque([record])
            self._tasks.start(self._deliver(group))
        else:
            waiting.append(record)
        return sent

    async def handle(self, http: HttpConnection, request: GatewayRequest) -> None:
        """Answer SendMessage in the JSON protocol; functions make no other call of SQS."""
        need = Need("sqs:SendMessage", self._arn)
        body = await read_signed(http, request, self._guard, SERVICE, lambda _: (need,))
        if body is None:
            return
        target = request.get("x-amz-target") or ""
        try:
            call = json.loads(body)
            url, text = call["QueueUrl"], call["MessageBody"]
            group, dedup = call["MessageGroupId"], call["MessageDeduplicationId"]
        except (ValueError, KeyError, TypeError) as error:
            await answer_error(http, 400, ApiError("com.amazonaws.sqs#MissingParameter", f"Missing: {error}"))
            return
        if target != TARGET:
            await answer_error(
                http, 400, ApiError("com.amazonaws.sqs#UnsupportedOperation", f"Not here: {target}")
            )
        elif url != self.url:
            unknown = ApiError("com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.")
            await answer_error(http, 400, unknown)
        elif not text or len(text.encode()) > MAX_MESSAGE:
            message = f"A message must have 1 to {MAX_MESSAGE} bytes."
            await answer_error(http, 400, ApiError("com.amazonaws.sqs#InvalidParameterValue", message))
        else:
            await answer_json(http, 200, self.send(text, group, dedup))

    @property
    def busy(self) -> bool:
        """Whether a message waits or is processed."""
        return self._tasks.busy

    async def idle(self) -> None:
        """Wait until the queue is empty."""
        await self._tasks.wait()

    async def close(self) -> None:
        """Drop all waiting messages."""
        await self._tasks.close()

    async def _deliver(self, group: str) -> None:
        waiting = self._groups[group]
        while waiting:
            await self._receive([waiting.popleft() for _ in range(min(len(waiting), self._settings.batch))])
        del self._groups[group]

    async def _receive(self, records: list[dict[str, Any]]) -> None:
        for count in range(1, self._settings.receives + 1):
            for record in records:
                record["attributes"]["ApproximateReceiveCount"] = str(count)
            visible = time.monotonic() + self._settings.visibility
            payload = json.dumps({"Records": records}).encode()
            outcome = await collect(await self._pool.invoke(payload, None))
            if not isinstance(outcome, InvocationError):
                return
            logger.error("A queued message comes again, because its invocation failed: %s", outcome.message)
            await asyncio.sleep(max(0.0, visible - time.monotonic()))
        logger.error("A queued message became a dead letter.")
        self.dead_letters.extend(record["body"] for record in records)

    def _forget(self) -> None:
        oldest = time.monotonic() - DEDUPLICATION_INTERVAL
        while self._seen:
            key = next(iter(self._seen))
            if self._seen[key][0] > oldest:
                return
            del self._seen[key]


def map_message(event: LambdaEvent) -> str:
    """Return the body that API Gateway's mapping template (`infra/aws/ordered.yaml`) makes of a message."""
    context = {name: event["requestContext"][name] for name in _KEPT}
    body = base64.b64encode(event["body"].encode()).decode()
    return json.dumps({"requestContext": context, "body": body, "isBase64Encoded": True}, separators=(",", ":"))
