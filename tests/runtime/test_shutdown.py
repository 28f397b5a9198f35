"""The time that a stop may take, and its goodbyes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from nitro_py.runtime.shutdown import CLOSES_PER_SECOND, CUT_SHORT_SECONDS, GracePeriod, close_gradually

pytestmark = pytest.mark.anyio


class Door:
    """Notes who leaves, and when."""

    def __init__(self) -> None:
        self.left: list[tuple[int, float]] = []

    def make(self, number: int, *, takes: float = 0.0) -> Callable[[], Awaitable[None]]:
        """Make the goodbye of one connection."""

        async def leave() -> None:
            self.left.append((number, time.monotonic()))
            await asyncio.sleep(takes)

        return leave


async def test_goodbyes_are_spread_evenly_and_in_any_order() -> None:
    door = Door()
    count = 60
    began = time.monotonic()
    await close_gradually([door.make(number) for number in range(count)], GracePeriod(10))
    numbers = [number for number, _ in door.left]
    assert sorted(numbers) == list(range(count))
    assert numbers != sorted(numbers)
    # Each leaves in its slot; a busy machine makes it later, never earlier.
    for place, (_, when) in enumerate(door.left):
        assert when - began >= place / CLOSES_PER_SECOND - 0.005


async def test_few_goodbyes_take_no_time_and_many_share_what_there_is() -> None:
    for count, seconds in ((2, 0.0), (400, 0.4)):
        door = Door()
        began = time.monotonic()
        await close_gradually([door.make(number) for number in range(count)], GracePeriod(1.0))
        assert len(door.left) == count
        # By its own pace, 400 would take 4 s.
        assert seconds <= time.monotonic() - began < seconds + 1.5


async def test_impatient_goodbyes_are_said_at_once() -> None:
    door = Door()
    began = time.monotonic()
    await close_gradually([door.make(number) for number in range(300)], GracePeriod(10, gradual=False))
    assert len(door.left) == 300
    assert time.monotonic() - began < 300 / CLOSES_PER_SECOND / 2


async def test_slow_goodbye_holds_up_nobody_and_broken_one_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    door = Door()

    async def fail() -> None:
        raise ValueError("no")

    grace = GracePeriod(0.8)
    await close_gradually([door.make(1, takes=60), fail, door.make(2)], grace)
    assert sorted(number for number, _ in door.left) == [1, 2]
    # The slow one was given up.
    assert grace.left() < 0.8
    assert [record.getMessage() for record in caplog.records] == ["A connection could not be closed."]


async def test_work_that_is_late_is_cancelled_and_counted() -> None:
    done: list[str] = []

    async def work(name: str, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            done.append(f"{name} cancelled")
            raise
        done.append(name)

    grace = GracePeriod(0.4)
    assert await grace.wait([work("quick", 0.01), work("slow", 60)], 0.5) == 1
    await asyncio.sleep(0)
    assert done == ["quick", "slow cancelled"]
    assert await grace.wait([], 0.5) == 0


async def test_hurry_cuts_waiting_and_goodbyes_short() -> None:
    door = Door()
    grace = GracePeriod(60)
    asyncio.get_running_loop().call_later(0.1, grace.cut_short)
    began = time.monotonic()
    await asyncio.gather(
        close_gradually([door.make(number) for number in range(1000)], grace),
        grace.wait([asyncio.sleep(60)], 0.5),
        grace.sleep(60),
    )
    assert len(door.left) == 1000
    assert time.monotonic() - began < 2 * CUT_SHORT_SECONDS + 1
    assert grace.left() <= CUT_SHORT_SECONDS


async def test_shares_count_from_where_the_work_begins() -> None:
    grace = GracePeriod(1.0)
    await asyncio.sleep(0.6)
    assert grace.left(0.5) == 0
    grace.begin_work()
    assert 0.1 < grace.left(0.5) <= 0.2
    assert grace.left() <= 0.4
