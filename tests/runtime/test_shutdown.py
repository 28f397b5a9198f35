"""The time that a stop may take, and its goodbyes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from nitro_py.runtime.shutdown import CLOSES_PER_SECOND, CUT_SHORT_SECONDS, GracePeriod, close_gradually
from tests.clock import use_own_clock

pytestmark = pytest.mark.anyio

# What a loop's waits are exact to, in seconds.
TICK = 0.002


@pytest.fixture(autouse=True)
async def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """Stop the clock while the loop works, and move it on by what the loop would wait for."""
    return use_own_clock(monkeypatch)


class Door:
    """Notes who leaves, and when."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.left: list[tuple[int, float]] = []

    def make(self, number: int, *, takes: float = 0.0) -> Callable[[], Awaitable[None]]:
        """Make the goodbye of one connection."""

        async def leave() -> None:
            self.left.append((number, self._clock()))
            await asyncio.sleep(takes)

        return leave


async def test_goodbyes_are_spread_evenly_and_in_any_order(clock: Callable[[], float]) -> None:
    door = Door(clock)
    count = 60
    began = clock()
    await close_gradually([door.make(number) for number in range(count)], GracePeriod(10))
    numbers = [number for number, _ in door.left]
    assert sorted(numbers) == list(range(count))
    assert numbers != sorted(numbers)
    # Each leaves in its slot.
    for place, (_, when) in enumerate(door.left):
        assert place / CLOSES_PER_SECOND - TICK <= when - began <= (place + 1) / CLOSES_PER_SECOND + TICK


async def test_few_goodbyes_take_no_time_and_many_share_what_there_is(clock: Callable[[], float]) -> None:
    # By its own pace, 400 would take 4 s.
    for count, window in ((2, 2 / CLOSES_PER_SECOND), (400, 0.5)):
        door = Door(clock)
        began = clock()
        await close_gradually([door.make(number) for number in range(count)], GracePeriod(1.0))
        assert len(door.left) == count
        # The last goodbye has a place in the last slot.
        assert window * (count - 1) / count - TICK <= clock() - began <= window + TICK


async def test_impatient_goodbyes_are_said_at_once(clock: Callable[[], float]) -> None:
    door = Door(clock)
    began = clock()
    await close_gradually([door.make(number) for number in range(300)], GracePeriod(10, gradual=False))
    assert len(door.left) == 300
    assert clock() == began


async def test_slow_goodbye_holds_up_nobody_and_broken_one_is_logged(
    caplog: pytest.LogCaptureFixture, clock: Callable[[], float]
) -> None:
    door = Door(clock)

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


async def test_hurry_cuts_waiting_and_goodbyes_short(clock: Callable[[], float]) -> None:
    door = Door(clock)
    grace = GracePeriod(60)
    asyncio.get_running_loop().call_later(0.1, grace.cut_short)
    began = clock()
    await asyncio.gather(
        close_gradually([door.make(number) for number in range(1000)], grace),
        grace.wait([asyncio.sleep(60)], 0.5),
        grace.sleep(60),
    )
    assert len(door.left) == 1000
    assert clock() - began <= 0.1 + CUT_SHORT_SECONDS + TICK
    assert grace.left() <= CUT_SHORT_SECONDS


async def test_shares_count_from_where_the_work_begins() -> None:
    grace = GracePeriod(1.0)
    await asyncio.sleep(0.6)
    assert grace.left(0.5) == 0
    grace.begin_work()
    assert grace.left(0.5) == pytest.approx(0.2, abs=TICK)
    assert grace.left() == pytest.approx(0.4, abs=TICK)
