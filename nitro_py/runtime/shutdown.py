"""The time that a stop may take, and how its goodbyes are spread over it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

logger = logging.getLogger("nitro_py.app")

# Shares of the grace period at whose end each step of a stop must be over: goodbyes, then hooks and requests that
# are under way, then background work, then plugins.
GOODBYES = 0.5
WORK = 0.75
BACKGROUND = 0.8
PLUGINS = 0.85

# How many connections are closed in a second, while the grace period allows it: their clients all come back.
PACE = 100.0

# What is left of a grace period that was cut short, in seconds.
HURRY = 1.0

Goodbye = Callable[[], Awaitable[None]]


class GracePeriod:
    """The grace period of a stop, which begins when it is made.

    Args:
        seconds: How long it is.
        patient: Whether goodbyes are spread; a person who waits for the end has no use for that.

    Example:
        >>> GracePeriod(8.0).left(0.5) <= 4.0
        True
    """

    def __init__(self, seconds: float, *, patient: bool = True) -> None:
        self.patient = patient
        self._since = time.monotonic()
        self._end = self._since + seconds
        self._hurried = asyncio.Event()

    def left(self, share: float = 1.0) -> float:
        """Return the seconds until a share of the period has passed."""
        return max(0.0, self._since + (self._end - self._since) * share - time.monotonic())

    def begin_work(self) -> None:
        """Make shares count from now on, where part of the period was needed for something else."""
        self._since = time.monotonic()

    def cut_short(self) -> None:
        """Cut the period short; to be called in the event loop."""
        if self.left() > HURRY:
            self._since = time.monotonic()
            self._end = self._since + HURRY
        self.patient = False
        self._hurried.set()

    async def sleep(self, seconds: float) -> None:
        """Wait, or until somebody hurries."""
        if self._hurried.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._hurried.wait()
        except TimeoutError:
            return

    async def wait(self, work: Iterable[Awaitable[object]], share: float) -> int:
        """Wait for work until a share of the period has passed, and cancel what is not done by then.

        Returns:
            How much was cancelled.
        """
        tasks = [asyncio.ensure_future(item) for item in work]
        # One future for them all: a wait on each would cost their number again at each look.
        all_done = asyncio.gather(*tasks, return_exceptions=True)
        hurried = asyncio.ensure_future(self._hurried.wait())
        try:
            while not all_done.done() and (left := self.left(share)):
                watched: set[asyncio.Future[Any]] = {all_done} if hurried.done() else {all_done, hurried}
                await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurried.cancel()
            late = [task for task in tasks if not task.done()]
            for task in late:
                task.cancel()
        return len(late)


async def close_gradually(goodbyes: Sequence[Goodbye], grace: GracePeriod) -> None:
    """End connections one after the other, in any order and at uneven times, so that clients don't return as one.

    Few connections take no time worth mentioning; more than the pace allows for share the time that there is.

    Args:
        goodbyes: Ends one connection each.
        grace: The grace period.
    """
    # Loaded at the stop only.
    import random

    order = random.sample(goodbyes, len(goodbyes))
    window = min(len(order) / PACE, grace.left(GOODBYES))
    began = time.monotonic()
    tasks = []
    for place, goodbye in enumerate(order):
        # Each has a slot of its own, and an uncertain place in it.
        due = began + window * (place + random.random()) / len(order)
        if grace.patient and (pause := due - time.monotonic()) > 0:
            await grace.sleep(pause)
        # A slow client must not hold up the goodbyes of the others.
        tasks.append(asyncio.ensure_future(_try(goodbye)))
    await grace.wait(tasks, WORK)


async def _try(goodbye: Goodbye) -> None:
    try:
        await goodbye()
    except Exception:
        logger.exception("A connection could not be closed.")
