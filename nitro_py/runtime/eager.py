"""Hooks that begin at once: most end without waiting for anything, and need no turn of the loop for that."""

from __future__ import annotations

import asyncio
import sys
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Coroutine, Generator
from contextvars import copy_context
from functools import partial
from types import coroutine
from typing import Any, Protocol

from nitro_py.runtime.subject import Subject, current_subject

Work = Coroutine[Any, Any, None]


class Owner(Protocol):
    """Is whose hooks they are."""

    subject: Subject

    async def go_on(self, rest: Awaitable[None]) -> None:
        """Awaits what is left of a hook, and does what comes after it."""


class Starter:
    """Begins hooks at once, each in a task: the eager tasks of Python 3.12, and on 3.11 a task that stands by.

    There, a hook that waits for nothing costs no task: it runs with the one that stands by as the current task and
    in its context, so that `asyncio.timeout`, `TaskGroup` and `current_task` work in it. Once a hook has to wait,
    that task is its own and another stands by; and so it is when a hook has changed the context, because what one
    peer's hook sets no other shall see.

    `_enter_task` and `_leave_task` are what asyncio documents for tasks of third parties ("Extending asyncio").

    Args:
        loop: The event loop.
    """

    __slots__ = ("_standby", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._standby: Standby | None = None

    def start(self, work: Work) -> asyncio.Task[None] | None:
        """Runs work in a task of its own, at once where Python can; `None` if it has ended."""
        if sys.version_info >= (3, 12):
            task = asyncio.Task(work, loop=self.loop, eager_start=True)
            return None if task.done() else task
        return self.loop.create_task(work)

    def begin(self, hook: Work, owner: Owner) -> asyncio.Task[None] | None:
        """Runs a hook as far as it goes.

        Args:
            hook: The hook, called and not yet awaited.
            owner: What goes on with it in the task, if it has to wait.

        Returns:
            The task; `None` if the hook has ended.

        Raises:
            BaseException: What a hook that needed no task has raised.
        """
        standby = self._standby
        if standby is None or not standby.parked:
            self._renew()
            return self.start(owner.go_on(hook))
        task, context = standby.task, standby.context
        try:
            _enter_task(self.loop, task)
        except RuntimeError:
            # This is within another task, and no two can run at a time.
            return self.start(owner.go_on(hook))
        context.run(current_subject.set, owner.subject)
        before = context.copy()
        try:
            left = context.run(hook.send, None)
        except StopIteration:
            # Contexts that share their variables are found equal without a look at them. And a hook may have asked
            # for an end that it did not wait for, and which no other shall meet.
            if context != before or task.cancelling():
                standby.use_up(None)
            return None
        except BaseException:
            standby.use_up(None)
            raise
        finally:
            _leave_task(self.loop, task)
        standby.use_up(owner.go_on(_resume(hook, left)))
        return task

    def _renew(self) -> None:
        """Lets a task stand by for the next hook, unless this is in one, whose context it would have."""
        if sys.version_info < (3, 12) and asyncio.current_task(self.loop) is None:
            if self._standby is None or self._standby.used:
                self._standby = Standby(self.loop)


class Standby:
    """Is a task that waits for work.

    Args:
        loop: The event loop.
    """

    __slots__ = ("_wake", "_work", "context", "parked", "task", "used")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Whether a hook can begin here, and whether none can any more; the task itself must have begun.
        self.parked = False
        self.used = False
        self.context = copy_context()
        self.task = loop.create_task(self._stand_by(), context=self.context)
        self._wake = loop.create_future()
        self._work: Work | None = None

    def use_up(self, work: Work | None) -> None:
        """Lets the task do its work, if there is any, and end."""
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


@coroutine
def _resume(hook: Work, left: object) -> Generator[object, object, None]:
    """Awaits what is left of a hook whose first step gave what it waits for."""
    while True:
        try:
            value = yield left
        except BaseException as error:
            resume = partial(hook.throw, error)
        else:
            resume = partial(hook.send, value)
        try:
            left = resume()
        except StopIteration:
            return


def find_starter() -> Starter:
    """Gives the running loop's starter."""
    global _starter
    loop = asyncio.get_running_loop()
    if _starter is None or _starter.loop is not loop:
        _starter = Starter(loop)
    return _starter


_starter: Starter | None = None
