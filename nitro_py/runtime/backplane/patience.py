"""Waiting for a broker by a clock that stands still while this process does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# In how many steps the time is counted: of a stop, one counts at the most.
STEPS = 5


@asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[None]:
    """Ends a block that takes too long, as `asyncio.timeout` does, without counting the time of a stop.

    A process that was stopped, or had no processor for long, finds all of its timers due before it has read what
    came meanwhile: the broker's answer among it, without which it would count as lost.

    Args:
        seconds: How long the block may take.

    Raises:
        TimeoutError: It took longer.

    Example:
        async with patience(5):
            await connection.subscribe(["chat"])
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer: asyncio.TimerHandle

        def step(left: int) -> None:
            nonlocal timer
            if left:
                timer = loop.call_later(seconds / STEPS, step, left - 1)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_later(seconds / STEPS, step, STEPS - 1)
        try:
            yield
        finally:
            timer.cancel()
