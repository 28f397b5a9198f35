"""Hooks that begin at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from types import coroutine
from typing import Any, cast

import pytest

from nitro_py.runtime.hooks.eager import READY, HookDriver, Hooks, TaskStarter
from nitro_py.runtime.log_context import LogContext, enter_log_context, read_log_fields

pytestmark = pytest.mark.anyio

who: ContextVar[str] = ContextVar("who", default="nobody")


class Named:
    """An owner with an id, as peers have."""

    def __init__(self, id: str) -> None:
        self.id = id


class Owner:
    """Takes note of how what is left of a hook has ended."""

    def __init__(self, id: str = "1") -> None:
        self.log_context = cast(LogContext, (Named(id), "/chat"))
        self.ends: list[object] = []

    async def continue_hook(self, rest: Awaitable[None]) -> None:
        """Await it."""
        enter_log_context(*self.log_context)
        try:
            await rest
        except BaseException as error:
            self.ends.append(type(error))
        else:
            self.ends.append("well")


Begin = Callable[..., Any]


@coroutine
def await_each() -> Hooks:
    """Await each coroutine that it is sent."""
    while True:
        yield from (yield READY)


def drive(starter: TaskStarter, owner: Any) -> HookDriver:
    """Make an owner's driver, whose hooks are coroutines that were called already."""
    return HookDriver(starter, owner, cast(Callable[[], Hooks], await_each))


@asynccontextmanager
async def open_starter() -> AsyncIterator[Begin]:
    """Return what begins a hook from a callback of the loop, as the transport does, and return what came of it."""
    loop = asyncio.get_running_loop()
    starter = TaskStarter(loop)
    nobody = Owner()
    drivers: dict[object, HookDriver] = {}

    async def begin(hook: Any, owner: Any = nobody) -> Any:
        came: asyncio.Future[Any] = loop.create_future()
        driver = drivers[owner] if owner in drivers else drivers.setdefault(owner, drive(starter, owner))

        def call() -> None:
            try:
                came.set_result(driver.begin(hook))
            except Exception as error:
                came.set_exception(error)

        loop.call_soon(call)
        return await came

    async def nothing() -> None:
        """End at once."""

    # The first one finds no task that stands by.
    await begin(nothing())
    await asyncio.sleep(0)
    yield begin


async def test_hook_that_waits_for_nothing_has_ended_when_it_has_begun() -> None:
    ran: list[object] = []

    async def hook() -> None:
        async with asyncio.timeout(30):
            await done
        ran.append(asyncio.current_task() is not None)
        ran.append(read_log_fields())

    async with open_starter() as begin:
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        assert await begin(hook(), Owner("7")) is None
    assert ran == [True, {"peer_id": "7", "route": "/chat"}]


async def test_hook_that_waits_goes_on_in_the_task_that_it_began_in() -> None:
    tasks: list[object] = []
    gate = asyncio.Event()
    owner = Owner()

    async def hook() -> None:
        tasks.append(asyncio.current_task())
        await gate.wait()
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    async with open_starter() as begin:
        task = await begin(hook(), owner)
        assert (tasks, owner.ends) == ([task], [])
        gate.set()
        await asyncio.wait_for(task, 30)
    assert (tasks, owner.ends) == ([task] * 3, ["well"])


async def test_time_out_and_task_group_around_the_first_step_work() -> None:
    reached: list[str] = []

    async def slow() -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            reached.append("timeout")

    async def at_once() -> None:
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(10)
        except TimeoutError:
            reached.append("timeout at once")

    async def group() -> None:
        async def fail() -> None:
            raise LookupError

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())
                await asyncio.sleep(10)
        except* LookupError:
            reached.append("group")

    async with open_starter() as begin:
        for hook in (slow, at_once, group):
            owner = Owner()
            task = await begin(hook(), owner)
            await asyncio.wait_for(task, 30)
            assert owner.ends == ["well"]
            await begin(asyncio.sleep(0), Owner())
            await asyncio.sleep(0.01)
    assert reached == ["timeout", "timeout at once", "group"]


@pytest.mark.parametrize("waits", [True, False])
async def test_hook_that_cancels_itself_is_cancelled_where_it_waits(waits: bool) -> None:
    steps: list[str] = []
    owner = Owner()

    async def hook() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        steps.append("cancels")
        if waits:
            await asyncio.sleep(10)
            steps.append("never")

    async with open_starter() as begin:
        task = await begin(hook(), owner)
        if waits:
            await asyncio.wait({task}, timeout=30)
        # Where Python has eager tasks, `continue_hook` sees all of a hook.
        assert owner.ends in ([[asyncio.CancelledError]] if waits else [[], ["well"]])
        # The next one is not hit.
        later: list[str] = []

        async def next_hook() -> None:
            await asyncio.sleep(0)
            later.append("ran")

        for _ in range(2):
            task = await begin(next_hook(), Owner())
            await asyncio.wait_for(task, 30)
    assert (steps, later) == (["cancels"], ["ran", "ran"])


async def test_hook_that_cancels_itself_and_ends_does_not_hit_the_next() -> None:
    ends: list[str] = []

    async def cancel() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def wait() -> None:
        await asyncio.sleep(0)
        ends.append("well")

    async with open_starter() as begin:
        # Both in one turn of the loop.
        await asyncio.gather(begin(cancel()), begin(wait()))
        await asyncio.sleep(0.01)
    assert ends == ["well"]


async def test_context_variables_of_one_hook_are_not_seen_by_another() -> None:
    seen: list[str] = []

    async def hook(name: str, waits: bool) -> None:
        seen.append(who.get())
        who.set(name)
        if waits:
            await asyncio.sleep(0)
        seen.append(who.get())

    async with open_starter() as begin:
        for waits in (False, True, False):
            for name in ("ada", "grace"):
                task = await begin(hook(name, waits))
                if task is not None:
                    await asyncio.wait_for(task, 30)
                await asyncio.sleep(0.01)
    assert seen == ["nobody", "ada", "nobody", "grace"] * 3


async def test_error_of_a_first_step_comes_out_or_goes_on() -> None:
    async def hook() -> None:
        raise LookupError("broken")

    async with open_starter() as begin:
        owner = Owner()
        try:
            assert await begin(hook(), owner) is None
        except LookupError:
            owner.ends.append(LookupError)
        assert owner.ends == [LookupError]
        assert await begin(asyncio.sleep(0), Owner()) is not None


async def test_one_driver_runs_hooks_however_those_before_have_ended() -> None:
    owner = Owner()

    async def hook(wait: bool, fail: bool) -> None:
        if wait:
            await asyncio.sleep(0)
        who.set("somebody")
        if fail:
            raise LookupError("broken")

    async def next_hook(wait: bool) -> None:
        if wait:
            await asyncio.sleep(0)
        seen.append((who.get(), read_log_fields()))

    seen: list[object] = []
    async with open_starter() as begin:
        for wait in (True, False):
            for fail in (True, False):
                for next_waits in (True, False):
                    for call in (hook(wait, fail), next_hook(next_waits)):
                        with suppress(LookupError):
                            task = await begin(call, owner)
                            await asyncio.sleep(0 if task is None else 0.01)
    assert seen == [("nobody", {"peer_id": "1", "route": "/chat"})] * 8


async def test_hook_within_a_task_is_a_task_of_its_own() -> None:
    owner = Owner()
    inside: list[object] = []

    async def hook() -> None:
        inside.append(asyncio.current_task())

    async with open_starter():
        driver = drive(TaskStarter(asyncio.get_running_loop()), owner)
        for _ in range(2):
            driver.begin(hook())
            await asyncio.sleep(0.01)
    assert owner.ends == ["well", "well"]
    assert asyncio.current_task() not in inside
