"""The one event loop of a function's process, which stands still between invocations and keeps what it holds."""

from __future__ import annotations

import asyncio
import time
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_Step = tuple[Callable[[], object], Context | None]

# How long the loop may go without a round while no coroutine waits, in seconds.
MAX_REST = 0.05


class FunctionLoop(asyncio.SelectorEventLoop):
    """Runs coroutines, and those that never wait without a round of the loop.

    A round asks the operating system what has happened, and with what sets it up costs more than most handlers. A
    coroutine is a task all the same: only that its first step is taken at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._first: _Step | None = None
        self._making = False
        self._handle = asyncio.Handle(self.stop, (), self)
        self._due = False
        self._last_round = time.monotonic()

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call a function at the next round; the first step of a task that `run` makes is left to `run`."""
        if self._making:
            self._first = (callback, context)
            return self._handle
        self._due = True
        return super().call_soon(callback, *args, context=context)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; tasks that it leaves behind go on at the next call."""
        return self._finish(self._make(work))

    def enter(self, work: Coroutine[Any, Any, T], context: Context) -> asyncio.Task[T]:
        """Make code that runs already, outside of any loop, the first step of a task of this one.

        `_enter_task` and `_leave_task` are what asyncio documents for third parties' tasks ("Extending asyncio").

        Args:
            work: A coroutine whose first step gives what came of that code.
            context: The context that the code runs in.

        Returns:
            The task, for `leave`.
        """
        task = self._make(work, context)
        asyncio._set_running_loop(self)
        _enter_task(self, task)
        return task

    def leave(self, task: asyncio.Task[T]) -> T:
        """End what `enter` began, and run the task to its end."""
        _leave_task(self, task)
        asyncio._set_running_loop(None)
        return self._finish(task)

    def run_forever(self) -> None:
        """Run until it is stopped."""
        try:
            super().run_forever()
        finally:
            self._due = False
            self._last_round = time.monotonic()

    def finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Close an asynchronous generator that was dropped outside of a round."""
        self.call_soon_threadsafe(self.create_task, generator.aclose())

    def _make(self, work: Coroutine[Any, Any, T], context: Context | None = None) -> asyncio.Task[T]:
        self._making = True
        try:
            return asyncio.Task(work, loop=self, context=context)
        finally:
            self._making = False

    def _finish(self, task: asyncio.Task[T]) -> T:
        if self._first is None:
            # This Python's tasks begin in another way.
            return self.run_until_complete(task)
        step, context = self._first
        asyncio._set_running_loop(self)
        try:
            (context or copy_context()).run(step)
        finally:
            asyncio._set_running_loop(None)
            self._first = None
        if not task.done():
            return self.run_until_complete(task)
        if self._due or time.monotonic() - self._last_round > MAX_REST:
            # What the coroutine left behind, and what has happened meanwhile, is not to wait for one that waits.
            self.call_soon(self.stop)
            self.run_forever()
        return task.result()
