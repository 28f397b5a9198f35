"""Hooks that start at once: most end without waiting, and need neither a task nor a turn of the event loop.

For the row `echo` of the benchmark.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import copy_context
from types import coroutine
from typing import Any, Final, Protocol

from nitro_py.runtime.hooks.asyncio_private import CAN_ENTER_TASKS, NAMES, enter_task, leave_task
from nitro_py.runtime.log_context import LogContext, current_log_context

logger = logging.getLogger("nitro_py.websocket")

Work = Coroutine[Any, Any, None]

# Yielded by hooks that are ready for the next call; while they wait, they yield futures.
READY: Final = object()
# A generator that calls a hook with each value that it is sent. It yields `READY` before each, and never ends.
Hooks = Generator[object, Any, None]


class HookOwner(Protocol):
    """The owner of hooks: a peer's session."""

    log_context: LogContext

    async def continue_hook(self, rest: Awaitable[None]) -> None:
        """Await the rest of a hook, and go on with what follows it."""


class TaskStarter:
    """The source of tasks for the hooks of an event loop.

    Args:
        loop: The event loop.
    """

    __slots__ = ("loop", "standby")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.standby: StandbyTask | None = None

    def start(self, work: Work) -> asyncio.Task[None] | None:
        """Run work in a task, which starts at once on Python 3.12 and later; return `None` if it has ended."""
        if sys.version_info >= (3, 12):
            task = asyncio.Task(work, loop=self.loop, eager_start=True)
            return None if task.done() else task
        return self.loop.create_task(work)

    def renew(self) -> None:
        """Make a standby task for the next hook, unless a task is running, whose context it would get."""
        if (self.standby is None or self.standby.used) and asyncio.current_task(self.loop) is None:
            self.standby = StandbyTask(self.loop)


class HookDriver:
    """A driver that runs an owner's hooks, each until it waits.

    A hook that does not wait needs no task of its own. It runs with the standby task as the current task, so that
    `asyncio.timeout`, `TaskGroup` and `current_task` work in it. Once a hook has to wait, it keeps that task, and
    another one is made. Hooks share a context, which is made anew after a hook that has changed it or had to wait:
    no hook sees the variables of another.

    For the row `echo` of the benchmark, where a task for each message would cost more than the message does.

    Args:
        starter: The source of tasks.
        owner: The owner, which goes on with a hook that has to wait.
        make: The function that makes the generator of the hooks.
    """

    __slots__ = ("_before", "_context", "_hooks", "_make", "_owner", "_run", "_send", "_starter")

    def __init__(self, starter: TaskStarter, owner: HookOwner, make: Callable[[], Hooks]) -> None:
        self._starter = starter
        self._owner = owner
        self._make = make
        self._renew()

    def begin(self, value: object) -> asyncio.Task[None] | None:
        """Call a hook at once, and run it until it waits.

        Args:
            value: The hook's argument.

        Returns:
            The task that the hook goes on in; `None` if it has ended.

        Raises:
            BaseException: The hook's own error, if it did not wait.
        """
        starter = self._starter
        standby = starter.standby
        if standby is None or not standby.parked:
            starter.renew()
            return starter.start(self._owner.continue_hook(self.run(value)))
        try:
            enter_task(starter.loop, standby.task)
        except RuntimeError:
            # Another task is running, and there can be only one.
            return starter.start(self._owner.continue_hook(self.run(value)))
        try:
            left = self._run(self._send, value)
        except BaseException:
            standby.run_and_end(None)
            self._renew()
            raise
        finally:
            leave_task(starter.loop, standby.task)
        if left is not READY:
            standby.run_and_end(self._owner.continue_hook(self._finish(left)))
            return standby.task
        if standby.task.cancelling():
            # The hook has cancelled its task and did not wait: the next hook must not be cancelled.
            standby.run_and_end(None)
        # Contexts that share their variables are equal without a look at each.
        if self._context != self._before:
            self._renew()
        return None

    async def run(self, value: object) -> None:
        """Call a hook in the owner's running task, and await it."""
        try:
            left = self._run(self._send, value)
        except BaseException:
            self._renew()
            raise
        await self._finish(left)

    @coroutine
    def _finish(self, left: object) -> Generator[object, object, None]:
        """Await the rest of a hook; `left` is the future that it waits for."""
        try:
            while left is not READY:
                try:
                    value = yield left
                except BaseException as error:
                    left = self._run(self._hooks.throw, error)
                else:
                    left = self._run(self._send, value)
        finally:
            self._renew()

    def _renew(self) -> None:
        context = copy_context()
        context.run(current_log_context.set, self._owner.log_context)
        self._context = context
        self._before = context.copy()
        self._hooks = self._make()
        self._run = context.run
        self._send = self._hooks.send
        context.run(next, self._hooks)


class StandbyTask:
    """A task that waits until a hook needs it.

    Args:
        loop: The event loop.
    """

    __slots__ = ("_wake", "_work", "parked", "task", "used")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Whether a hook can begin here, and whether the task is used up. A hook cannot begin before the task has.
        self.parked = False
        self.used = False
        self.task = loop.create_task(self._stand_by())
        self._wake = loop.create_future()
        self._work: Work | None = None

    def run_and_end(self, work: Work | None) -> None:
        """Let the task do some work, if any, and end."""
        self.parked = False
        self.used = True
        self._work = work
        # A hook that cancels its task has cancelled the future.
        if not self._wake.done():
            self._wake.set_result(None)

    async def _stand_by(self) -> None:
        self.parked = True
        try:
            await self._wake
        except asyncio.CancelledError:
            self.parked = False
            self.used = True
            if self._work is None:
                raise
            # The hook has cancelled its task, and must see that where it waits.
            self.task.uncancel()
            self.task.cancel()
        if self._work is not None:
            await self._work


def find_starter() -> TaskStarter:
    """Return the running loop's starter."""
    global _starter
    loop = asyncio.get_running_loop()
    if _starter is None or _starter.loop is not loop:
        if _starter is None and not CAN_ENTER_TASKS:
            logger.warning("This release of asyncio makes hooks slower: it lacks %s.", " or ".join(NAMES))
        _starter = TaskStarter(loop)
    return _starter


_starter: TaskStarter | None = None
