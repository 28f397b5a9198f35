"""The event loop of a function's process, which stops between invocations and keeps its tasks.

Serves the benchmark rows `lambda-warm-1` and `lambda-warm-50`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from functools import partial
from typing import Any, TypeVar, TypeVarTuple, Unpack

from nitro_py.runtime.containment import run_until_done
from nitro_py.runtime.hooks.asyncio_private import CAN_ENTER_TASKS, enter_task, leave_task

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_Step = tuple[Callable[[], object], Context | None]

# How long the loop may go without an iteration while no coroutine waits, in seconds.
MAX_PAUSE = 0.05


class FunctionLoop(asyncio.SelectorEventLoop):
    """An event loop that runs a coroutine without an iteration of the loop, if it never waits.

    An iteration calls the selector, which takes longer than most handlers. The coroutine is a task all the same:
    only its first step is taken at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._first: _Step | None = None
        self._making = False
        self._handle = asyncio.Handle(self.stop, (), self)
        self._due = False
        self._last_iteration = time.monotonic()

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call a function in the next iteration; the first step of a task that `run` makes is left to `run`."""
        if self._making:
            self._first = (callback, context)
            return self._handle
        self._due = True
        return super().call_soon(callback, *args, context=context)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; tasks that it has started go on at the next call."""
        return self._finish(self._make(work))

    def enter(self, work: Coroutine[Any, Any, T], context: Context) -> asyncio.Task[T]:
        """Make running code, outside of any loop, the first step of a task of this one.

        Args:
            work: A coroutine whose first step has the result of that code.
            context: The `contextvars` context that the code runs in.

        Returns:
            The task, for `leave`.
        """
        task = self._make(work, context)
        asyncio._set_running_loop(self)
        # Elsewhere the first step runs without a current task.
        if CAN_ENTER_TASKS:
            enter_task(self, task)
        return task

    def leave(self, task: asyncio.Task[T]) -> T:
        """End what `enter` began, and run the task to its end."""
        if CAN_ENTER_TASKS:
            leave_task(self, task)
        asyncio._set_running_loop(None)
        return self._finish(task)

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until a future is done; a `SystemExit` in another task ends that task only."""
        task: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]
        return run_until_done(partial(super().run_until_complete, task), task)

    def run_forever(self) -> None:
        """Run until it is stopped."""
        try:
            super().run_forever()
        finally:
            self._due = False
            self._last_iteration = time.monotonic()

    def finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Close an asynchronous generator that was garbage-collected while the loop stood still."""
        self.call_soon_threadsafe(self.create_task, generator.aclose())

    def _make(self, work: Coroutine[Any, Any, T], context: Context | None = None) -> asyncio.Task[T]:
        self._making = True
        try:
            return asyncio.Task(work, loop=self, context=context)
        finally:
            self._making = False

    def _finish(self, task: asyncio.Task[T]) -> T:
        if self._first is None:
            # Tasks of this Python don't begin by `call_soon`.
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
        if self._due or time.monotonic() - self._last_iteration > MAX_PAUSE:
            # Callbacks, and what the selector has meanwhile, must not wait for a coroutine that waits.
            self.call_soon(self.stop)
            run_until_done(self.run_forever)
        return task.result()
