"""One call of a function."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from nitro_presets.aws_lambda.gateway.formats import make_request_id

# How many chunks of a stream wait for a slow client before the function waits too.
MAX_WAITING = 64


@dataclass(frozen=True, slots=True)
class BufferedResult:
    """What a function returned.

    Args:
        body: JSON.
    """

    body: bytes


@dataclass(frozen=True, slots=True)
class InvocationError:
    """An error in place of an answer.

    Args:
        kind: Its name, such as `Sandbox.Timedout`.
        message: What it says.
        body: What the caller is told, as JSON.
    """

    kind: str
    message: str
    body: bytes

    @classmethod
    def make(cls, kind: str, message: str) -> InvocationError:
        """Make an error of the platform itself."""
        return cls(kind, message, json.dumps({"errorType": kind, "errorMessage": message}).encode())


class StreamedResult:
    """An answer in pieces.

    Args:
        content_type: What the function says that it is.
    """

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type
        self.failure: InvocationError | None = None
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._ended = False
        self._unwanted = False

    async def feed(self, chunk: bytes) -> None:
        """Add a chunk; waits while the reader is slow."""
        if not self._unwanted and not self._ended:
            await self._chunks.put(chunk)

    async def end(self, failure: InvocationError | None = None) -> None:
        """End the stream, well or by an error; a second call does nothing."""
        if self._ended:
            return
        self._ended = True
        self.failure = failure
        if not self._unwanted:
            await self._chunks.put(None)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Return the chunks as they come; afterwards `failure` says whether that was all."""
        while (chunk := await self._chunks.get()) is not None:
            yield chunk

    def discard(self) -> None:
        """Throw away what is still to come: its reader is gone, and the function is not told."""
        self._unwanted = True
        while not self._chunks.empty():
            self._chunks.get_nowait()


InvocationResult = BufferedResult | InvocationError | StreamedResult


async def collect(outcome: InvocationResult) -> BufferedResult | InvocationError:
    """Wait for the whole of an answer."""
    if not isinstance(outcome, StreamedResult):
        return outcome
    try:
        body = b"".join([chunk async for chunk in outcome.chunks()])
    finally:
        outcome.discard()
    return outcome.failure or BufferedResult(body)


class PendingInvocation:
    """One call of a function, from when it is asked for until its process is free again.

    Args:
        payload: The event, JSON.
        trace: The trace that the function is told.
    """

    def __init__(self, payload: bytes, trace: str) -> None:
        self.id = make_request_id()
        self.payload = payload
        self.trace = trace
        self.deadline = 0.0
        self.outcome: asyncio.Future[InvocationResult] = asyncio.get_running_loop().create_future()

    def begin(self, seconds: float) -> None:
        """Start the clock."""
        self.deadline = time.time() + seconds

    @property
    def seconds_left(self) -> float:
        """Seconds until the process is killed."""
        return max(0.0, self.deadline - time.time())

    def resolve(self, outcome: InvocationResult) -> None:
        """Tell the caller, unless it was told before."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    async def break_off(self, failure: InvocationError) -> None:
        """End the call by an error of the platform, also in the middle of a streamed answer."""
        self.resolve(failure)
        outcome = self.outcome.result()
        if isinstance(outcome, StreamedResult):
            await outcome.end(failure)
