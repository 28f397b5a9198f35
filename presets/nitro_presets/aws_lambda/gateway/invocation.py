"""One call of a function."""

from __future__ import annotations

import asyncio
import time

from nitro_presets.aws_lambda.gateway.identifiers import make_request_id
from nitro_presets.aws_lambda.gateway.outcome import Failure, Outcome, Stream


class Invocation:
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
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def begin(self, seconds: float) -> None:
        """Start the clock."""
        self.deadline = time.time() + seconds

    @property
    def seconds_left(self) -> float:
        """Seconds until the process is killed."""
        return max(0.0, self.deadline - time.time())

    def resolve(self, outcome: Outcome) -> None:
        """Tell the caller, unless it was told before."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    async def break_off(self, failure: Failure) -> None:
        """End the call by an error of the platform, also in the middle of a streamed answer."""
        self.resolve(failure)
        outcome = self.outcome.result()
        if isinstance(outcome, Stream):
            await outcome.end(failure)
