"""Waiting for a broker, also in a process that stands still meanwhile."""

from __future__ import annotations

import asyncio
import time

import pytest

from nitro_py.runtime.responsive_timeout import responsive_timeout

pytestmark = pytest.mark.anyio


async def test_what_takes_too_long_is_ended() -> None:
    with pytest.raises(TimeoutError):
        async with responsive_timeout(0.05):
            await asyncio.sleep(30)


async def test_what_is_done_in_time_is_left_alone_afterwards() -> None:
    async with responsive_timeout(0.05):
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)


async def test_time_in_which_the_process_stood_still_does_not_count() -> None:
    async with responsive_timeout(0.1):
        answer = asyncio.create_task(asyncio.sleep(0.01, "answer"))
        # The answer's timer is due after this, and that of the timeout would be.
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251
        assert await answer == "answer"


async def test_cancellation_from_outside_stays_one() -> None:
    async def wait() -> None:
        async with responsive_timeout(30):
            await asyncio.sleep(30)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
