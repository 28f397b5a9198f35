"""A timeout that does not count the time in which the process stood still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# The steps in which time is counted: of a pause of the process, at most one step counts.
STEPS = 5


@asynccontextmanager
async def responsive_timeout(seconds: float) -> AsyncIterator[None]:
    """End a block that takes too long, as `asyncio.timeout` does, without counting pauses of the process.

    After a pause (SIGSTOP, a busy machine) all timers are due before the process has read its sockets. With
    `asyncio.timeout` the broker would count as lost, although its answer is there.

    Args:
        seconds: The time limit of the block.

    Raises:
        TimeoutError: The block took longer.

    Example:
        async with responsive_timeout(5):
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
