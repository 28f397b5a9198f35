"""An invocation of a function, and its result."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from nitro_presets.aws_lambda.gateway.formats import make_request_id

# The error type of an invocation that is refused because the account's concurrency is used up.
THROTTLED = "TooManyRequestsException"
# The most chunks of a stream that wait for a slow client; then the function waits too.
MAX_WAITING = 64


@dataclass(frozen=True, slots=True)
class BufferedResult:
    """A buffered response.

    Args:
        body: The response as JSON.
    """

    body: bytes


@dataclass(frozen=True, slots=True)
class InvocationError:
    """An error in place of a response.

    Args:
        kind: The error type, such as `Sandbox.Timedout`.
        message: The error message.
        body: The body for the caller, as JSON.
    """

    kind: str
    message: str
    body: bytes

    @classmethod
    def make(cls, kind: str, message: str) -> InvocationError:
        """Make an error of Lambda itself."""
        return cls(kind, message, json.dumps({"errorType": kind, "errorMessage": message}).encode())


class StreamedResult:
    """A streamed response.

    Args:
        content_type: The function's `Content-Type`.
    """

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type
        self.failure: InvocationError | None = None
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._closed = False
        self._unwanted = False

    async def feed(self, chunk: bytes) -> None:
        """Add a chunk; wait while the reader is slow."""
        if not self._unwanted and not self._closed:
            await self._chunks.put(chunk)

    async def end(self, failure: InvocationError | None = None) -> None:
        """End the stream, with an error if there is one; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self.failure = failure
        if not self._unwanted:
            await self._chunks.put(None)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the chunks as they come; `failure` is set at the end if the stream is incomplete."""
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    def discard(self) -> None:
        """Drop all further chunks: the reader is gone, and the function is not told."""
        self._unwanted = True
        while not self._chunks.empty():
            self._chunks.get_nowait()


InvocationResult = BufferedResult | InvocationError | StreamedResult


async def collect(outcome: InvocationResult) -> BufferedResult | InvocationError:
    """Wait for the end of a response, and return the whole."""
    if not isinstance(outcome, StreamedResult):
        return outcome
    try:
        body = b"".join([chunk async for chunk in outcome.chunks()])
    finally:
        outcome.discard()
    return outcome.failure or BufferedResult(body)


class PendingInvocation:
    """An invocation, from the call until the process is free again.

    Args:
        payload: The event as JSON.
        trace: The trace header for the function.
    """

    def __init__(self, payload: bytes, trace: str) -> None:
        self.id = make_request_id()
        self.payload = payload
        self.trace = trace
        self.deadline = 0.0
        self.outcome: asyncio.Future[InvocationResult] = asyncio.get_running_loop().create_future()

    def begin(self, seconds: float) -> None:
        """Set the deadline."""
        self.deadline = time.time() + seconds

    @property
    def seconds_left(self) -> float:
        """The seconds until the process is killed."""
        return max(0.0, self.deadline - time.time())

    def resolve(self, outcome: InvocationResult) -> None:
        """Set the result, unless there is one."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    async def fail(self, failure: InvocationError) -> None:
        """End the invocation with an error of Lambda, also one whose response has begun to stream."""
        self.resolve(failure)
        outcome = self.outcome.result()
        if isinstance(outcome, StreamedResult):
            await outcome.end(failure)
