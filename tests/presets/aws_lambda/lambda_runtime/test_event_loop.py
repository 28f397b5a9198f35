"""The loop of a function's process: real tasks, also those that end at their first step."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
from collections.abc import AsyncIterator, Iterator

import pytest

from nitro_presets.aws_lambda.lambda_runtime.event_loop import MAX_PAUSE, FunctionLoop

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")


@pytest.fixture
def loop() -> Iterator[FunctionLoop]:
    """Make a loop."""
    loop = FunctionLoop()
    yield loop
    loop.close()


class CountingLoop(FunctionLoop):
    """Counts its rounds."""

    rounds = 0

    def _run_once(self) -> None:
        self.rounds += 1
        super()._run_once()  # type: ignore[misc]


async def describe() -> tuple[str, bool, str]:
    """Return where it runs."""
    task = asyncio.current_task()
    assert task is not None
    before = variable.get()
    variable.set("inside")
    return before, asyncio.get_running_loop() is task.get_loop(), variable.get()


def test_coroutine_that_never_waits_is_a_task_with_a_context_of_its_own(loop: FunctionLoop) -> None:
    for _ in range(2):
        assert loop.run(describe()) == ("outside", True, "inside")
    assert variable.get() == "outside"
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_coroutine_that_waits_is_run_to_its_end(loop: FunctionLoop) -> None:
    async def work() -> list[object]:
        seen: list[object] = []
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0.001)).add_done_callback(seen.append)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(10)
        seen.append(await asyncio.to_thread(lambda: "thread"))
        return seen[1:]

    assert loop.run(work()) == ["thread"]


def test_errors_and_cancellation_come_out(loop: FunctionLoop) -> None:
    async def fail() -> None:
        raise ValueError("ink")

    async def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(ValueError, match="ink"):
        loop.run(fail())
    with pytest.raises(asyncio.CancelledError):
        loop.run(cancel())
    assert loop.run(describe())[1]


def test_coroutine_that_never_waits_costs_no_round() -> None:
    loop = CountingLoop()
    loop.run(describe())
    loop.run(describe())
    assert loop.rounds == 0
    loop.close()


def test_what_is_left_behind_goes_on_though_nobody_waits(loop: FunctionLoop) -> None:
    seen: list[str] = []

    async def work() -> None:
        seen.append("begun")
        await asyncio.sleep(0)
        seen.append("done")

    async def start() -> None:
        seen.append("answered")
        keep.append(asyncio.create_task(work()))

    keep: list[asyncio.Task[None]] = []
    loop.run(start())
    assert seen == ["answered", "begun"]
    loop.run(asyncio.sleep(0.001))
    assert seen == ["answered", "begun", "done"]


def test_timers_are_seen_to_though_nobody_waits(loop: FunctionLoop) -> None:
    seen: list[str] = []
    loop.call_later(0, seen.append, "timer")
    loop._last_iteration -= 2 * MAX_PAUSE
    loop.run(describe())
    assert seen == ["timer"]


def test_generator_that_is_dropped_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    from nitro_presets.aws_lambda.lambda_runtime import runner as module

    monkeypatch.setattr(module, "_loop", None)
    before = sys.get_asyncgen_hooks()
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.append(True)

    async def work() -> int:
        return await anext(numbers())

    assert module.run(work()) == 1
    gc.collect()
    module.run(asyncio.sleep(0.001))
    assert closed == [True]
    module.enter_loop().close()
    sys.set_asyncgen_hooks(*before)
