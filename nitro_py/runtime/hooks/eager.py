"""Hooks that begin at once: most end without waiting for anything, and need no turn of the loop for that."""

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

# What hooks yield where they are ready for the next call, beside the futures that they wait for.
READY: Final = object()
# Runs a hook with each value that it is sent, one after the other: it yields `READY` before each, and never ends.
Hooks = Generator[object, Any, None]


class HookOwner(Protocol):
    """Is whose hooks they are."""

    log_context: LogContext

    async def go_on(self, rest: Awaitable[None]) -> None:
        """Await what is left of a hook, and do what comes after it."""


class TaskStarter:
    """Gives a loop's hooks a task: at once, or once they have to wait.

    Args:
        loop: The event loop.
    """

    __slots__ = ("loop", "standby")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.standby: StandbyTask | None = None

    def start(self, work: Work) -> asyncio.Task[None] | None:
        """Run work in a task of its own, at once where Python can; `None` if it has ended."""
        if sys.version_info >= (3, 12):
            task = asyncio.Task(work, loop=self.loop, eager_start=True)
            return None if task.done() else task
        return self.loop.create_task(work)

    def renew(self) -> None:
        """Let a task stand by for the next hook, unless this is in one, whose context it would have."""
        if (self.standby is None or self.standby.used) and asyncio.current_task(self.loop) is None:
            self.standby = StandbyTask(self.loop)


class HookDriver:
    """Runs an owner's hooks, each as far as it goes without waiting.

    One that waits for nothing costs no task: it runs with the one that stands by as the current task, so that
    `asyncio.timeout`, `TaskGroup` and `current_task` work in it. Once a hook has to wait that task is its own, and
    another stands by. All run in one context, which is made anew when a hook has changed it or had to wait: what
    one sets no other shall see.

    For the row `echo` of the benchmark, where a task for each message would cost more than the message does.

    Args:
        starter: Gives tasks.
        owner: What goes on with a hook in its task, if it has to wait.
        make: Makes what runs the hooks.
    """

    __slots__ = ("_before", "_context", "_hooks", "_make", "_owner", "_run", "_send", "_starter")

    def __init__(self, starter: TaskStarter, owner: HookOwner, make: Callable[[], Hooks]) -> None:
        self._starter = starter
        self._owner = owner
        self._make = make
        self._renew()

    def begin(self, value: object) -> asyncio.Task[None] | None:
        """Call a hook at once, and run it as far as it goes.

        Args:
            value: What it is called with.

        Returns:
            The task that it goes on in; `None` if it has ended.

        Raises:
            BaseException: What a hook that needed no task has raised.
        """
        starter = self._starter
        standby = starter.standby
        if standby is None or not standby.parked:
            starter.renew()
            return starter.start(self._owner.go_on(self.run(value)))
        try:
            enter_task(starter.loop, standby.task)
        except RuntimeError:
            # This is within another task, and no two can run at a time.
            return starter.start(self._owner.go_on(self.run(value)))
        try:
            left = self._run(self._send, value)
        except BaseException:
            standby.use_up(None)
            self._renew()
            raise
        finally:
            leave_task(starter.loop, standby.task)
        if left is not READY:
            standby.use_up(self._owner.go_on(self._finish(left)))
            return standby.task
        if standby.task.cancelling():
            # The hook has asked for an end that it did not wait for, and which no other shall meet.
            standby.use_up(None)
        # Contexts that share their variables are found equal without a look at them.
        if self._context != self._before:
            self._renew()
        return None

    async def run(self, value: object) -> None:
        """Call a hook within a task that the owner has, and await it."""
        try:
            left = self._run(self._send, value)
        except BaseException:
            self._renew()
            raise
        await self._finish(left)

    @coroutine
    def _finish(self, left: object) -> Generator[object, object, None]:
        """Await what is left of a hook whose first step gave what it waits for."""
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
    """A task that waits for work.

    Args:
        loop: The event loop.
    """

    __slots__ = ("_wake", "_work", "parked", "task", "used")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Whether a hook can begin here, and whether none can any more; the task itself must have begun.
        self.parked = False
        self.used = False
        self.task = loop.create_task(self._stand_by())
        self._wake = loop.create_future()
        self._work: Work | None = None

    def use_up(self, work: Work | None) -> None:
        """Let the task do its work, if there is any, and end."""
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
            # It was the hook that was cancelled, and shall learn of it where it waits.
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
