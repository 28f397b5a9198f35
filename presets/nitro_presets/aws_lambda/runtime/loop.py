"""The one event loop of a function's process, which stands still between invocations and keeps what it holds."""

from __future__ import annotations

import asyncio
import atexit
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_Step = tuple[Callable[[], object], Context | None]

# How long the loop may go without a round while no coroutine waits, in seconds.
LONGEST_REST = 0.05


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
        """Calls a function at the next round; the first step of a task that `run` makes is left to `run`."""
        if self._making:
            self._first = (callback, context)
            return self._handle
        self._due = True
        return super().call_soon(callback, *args, context=context)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end; tasks that it leaves behind go on at the next call."""
        self._making = True
        try:
            task = asyncio.Task(work, loop=self)
        finally:
            self._making = False
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
        if self._due or time.monotonic() - self._last_round > LONGEST_REST:
            # What the coroutine left behind, and what has happened meanwhile, is not to wait for one that waits.
            self.call_soon(self.stop)
            self.run_forever()
        return task.result()

    def run_forever(self) -> None:
        """Runs until it is stopped."""
        try:
            super().run_forever()
        finally:
            self._due = False
            self._last_round = time.monotonic()

    def finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Closes an asynchronous generator that was dropped outside of a round."""
        self.call_soon_threadsafe(self.create_task, generator.aclose())


_loop: FunctionLoop | None = None


def enter_loop() -> FunctionLoop:
    """Gives the loop, and makes it the thread's current one."""
    global _loop
    if _loop is None:
        _loop = FunctionLoop()
        sys.set_asyncgen_hooks(finalizer=_loop.finalize)
        atexit.register(_loop.close)
    asyncio.set_event_loop(_loop)
    return _loop


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end; tasks that it leaves behind go on at the next call.

    Lambda's handlers are plain functions, called outside of any loop: this is how they get into theirs.

    Example:
        def handler(event: Any, context: Any) -> Any:
            return run(answer(event, context))
    """
    return (_loop or enter_loop()).run(work)
