"""The grace period of a stop, and the closing of connections spread over it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

logger = logging.getLogger("nitro_py.app")

# The shares of the grace period after which each step of a stop must be over: the closing of connections, then the
# last hooks and requests, then background work, then plugins.
CLOSE_SHARE = 0.5
WORK_SHARE = 0.75
BACKGROUND_SHARE = 0.8
PLUGIN_SHARE = 0.85

# The connections that are closed in a second, if the grace period is long enough: their clients all reconnect.
CLOSES_PER_SECOND = 100.0

# The rest of a grace period that was cut short, in seconds.
CUT_SHORT_SECONDS = 1.0

Close = Callable[[], Awaitable[None]]


class GracePeriod:
    """The grace period of a stop, which begins when it is made.

    Args:
        seconds: Its length.
        gradual: Whether the closing is spread over it, which only delays a person who waits for the end.

    Example:
        >>> GracePeriod(8.0).left(0.5) <= 4.0
        True
    """

    def __init__(self, seconds: float, *, gradual: bool = True) -> None:
        self.gradual = gradual
        self._since = time.monotonic()
        self._end = self._since + seconds
        self._cut_short = asyncio.Event()

    def left(self, share: float = 1.0) -> float:
        """Return the seconds until a share of the period has passed."""
        return max(0.0, self._since + (self._end - self._since) * share - time.monotonic())

    def begin_work(self) -> None:
        """Count shares from now on, if a part of the period was used for something else."""
        self._since = time.monotonic()

    def cut_short(self) -> None:
        """Cut the period short; to be called in the event loop."""
        if self.left() > CUT_SHORT_SECONDS:
            self._since = time.monotonic()
            self._end = self._since + CUT_SHORT_SECONDS
        self.gradual = False
        self._cut_short.set()

    async def sleep(self, seconds: float) -> None:
        """Wait, at most until the period is cut short."""
        if self._cut_short.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._cut_short.wait()
        except TimeoutError:
            return

    async def wait(self, work: Iterable[Awaitable[object]], share: float) -> int:
        """Wait for work until a share of the period has passed, and cancel the rest.

        Returns:
            The number of cancelled pieces of work.
        """
        tasks = [asyncio.ensure_future(item) for item in work]
        # One future for all: each turn would have to look at every task.
        all_done = asyncio.gather(*tasks, return_exceptions=True)
        cut_short = asyncio.ensure_future(self._cut_short.wait())
        try:
            while not all_done.done() and (left := self.left(share)):
                watched: set[asyncio.Future[Any]] = {all_done} if cut_short.done() else {all_done, cut_short}
                await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            cut_short.cancel()
            late = [task for task in tasks if not task.done()]
            for task in late:
                task.cancel()
        return len(late)


async def close_gradually(closes: Sequence[Close], grace: GracePeriod) -> None:
    """Close connections one after the other, in random order and at random times.

    Otherwise all clients would reconnect at the same moment. `CLOSES_PER_SECOND` are closed in a second, or more
    if the grace period is too short for that.

    Args:
        closes: Functions that close one connection each.
        grace: The grace period.
    """
    # Loaded at the stop only.
    import random

    order = random.sample(closes, len(closes))
    window = min(len(order) / CLOSES_PER_SECOND, grace.left(CLOSE_SHARE))
    began = time.monotonic()
    tasks = []
    for place, close in enumerate(order):
        # Each has a slot of its own, and a random place in it.
        due = began + window * (place + random.random()) / len(order)
        if grace.gradual and (pause := due - time.monotonic()) > 0:
            await grace.sleep(pause)
        # A slow client must not delay the others.
        tasks.append(asyncio.ensure_future(_log_failure(close)))
    await grace.wait(tasks, WORK_SHARE)


async def _log_failure(close: Close) -> None:
    try:
        await close()
    except Exception:
        logger.exception("A connection could not be closed.")
