"""What comes out of an invocation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

# How many chunks of a stream wait for a slow client before the function waits too.
MAX_WAITING = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """What a function returned.

    Args:
        body: JSON.
    """

    body: bytes


@dataclass(frozen=True, slots=True)
class Failure:
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
    def make(cls, kind: str, message: str) -> Failure:
        """Make an error of the platform itself."""
        return cls(kind, message, json.dumps({"errorType": kind, "errorMessage": message}).encode())


class Stream:
    """An answer in pieces.

    Args:
        content_type: What the function says that it is.
    """

    def __init__(self, content_type: str) -> None:
        self.content_type = content_type
        self.failure: Failure | None = None
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._ended = False
        self._unwanted = False

    async def feed(self, chunk: bytes) -> None:
        """Add a chunk; waits while the reader is slow."""
        if not self._unwanted and not self._ended:
            await self._chunks.put(chunk)

    async def end(self, failure: Failure | None = None) -> None:
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


Outcome = Answer | Failure | Stream


async def collect(outcome: Outcome) -> Answer | Failure:
    """Wait for the whole of an answer."""
    if not isinstance(outcome, Stream):
        return outcome
    try:
        body = b"".join([chunk async for chunk in outcome.chunks()])
    finally:
        outcome.discard()
    return outcome.failure or Answer(body)
