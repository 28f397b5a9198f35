"""Running coroutines from Lambda's plain functions, without asyncio until something asks for it.

Loading asyncio takes longer than all else in the start of a function, and a handler that waits for nothing needs
no loop.
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from nitro_presets.aws_lambda.lambda_runtime.import_hook import AsyncioImportHook

if TYPE_CHECKING:
    import asyncio

    from nitro_presets.aws_lambda.lambda_runtime.event_loop import FunctionLoop

T = TypeVar("T")

_loop: FunctionLoop | None = None


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; tasks that it leaves behind go on at the next call.

    Lambda's handlers are plain functions, called outside of any loop: this is how they get into theirs.

    Example:
        def handler(event: Any, context: Any) -> Any:
            return run(answer(event, context))
    """
    if _loop is not None:
        return _loop.run(work)
    # What another thread imports, this one would not learn of.
    if AsyncioImportHook.is_late() or _thread._count():
        return enter_loop().run(work)
    sys.set_asyncgen_hooks(finalizer=_finalize)
    return FirstStep(work).take()


def enter_loop() -> FunctionLoop:
    """Return the loop, and make it the thread's current one."""
    global _loop
    import asyncio
    import atexit

    from nitro_presets.aws_lambda.lambda_runtime.event_loop import FunctionLoop

    if _loop is None:
        _loop = FunctionLoop()
        sys.set_asyncgen_hooks(finalizer=_loop.finalize)
        atexit.register(_loop.close)
    asyncio.set_event_loop(_loop)
    return _loop


class FirstStep(Coroutine[Any, Any, T]):
    """A coroutine whose first step is taken outside of any loop.

    Most end with it. Once the step imports asyncio, it goes on as a task of the loop, so that `current_task`,
    `timeout` and `TaskGroup` work in it; if it then waits, the task takes the further steps. What the first one
    has given, the task learns when it takes its own.

    Args:
        work: The coroutine.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._context = copy_context()
        self._task: asyncio.Task[T] | None = None
        self._told = False
        self._left: Any = None
        self._end: BaseException | None = None

    def take(self) -> T:
        """Take the step, and those that follow; return what the coroutine returns."""
        watch = AsyncioImportHook(self._enter)
        watch.begin()
        try:
            self._left = self._context.run(self._work.send, None)
        except BaseException as error:
            if self._task is None:
                if isinstance(error, StopIteration):
                    value: T = error.value
                    return value
                raise
            self._end = error
        finally:
            watch.end()
        # What waits without asyncio gets a loop all the same, which knows what to say to that.
        task = self._task or self._enter()
        return enter_loop().leave(task)

    def send(self, value: Any) -> Any:
        """Take a step of the task."""
        if self._told:
            return self._work.send(value)
        self._told = True
        if self._end is not None:
            raise self._end
        return self._left

    def throw(self, *error: Any) -> Any:
        """Take a step of the task, which was cancelled."""
        if self._told:
            return self._work.throw(*error)
        self._told = True
        if self._end is not None:
            raise error[0] if isinstance(self._end, StopIteration) else self._end
        if self._left is None:
            return self._work.throw(*error)
        # What a task waits for is cancelled first, and the task by that.
        self._left.cancel()
        return self._left

    def close(self) -> None:
        """Close the coroutine."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        raise NotImplementedError("Only a task takes the steps of this one.")

    def _enter(self) -> asyncio.Task[T]:
        self._task = enter_loop().enter(self, self._context)
        return self._task


def _finalize(generator: AsyncGenerator[Any, Any]) -> None:
    enter_loop().finalize(generator)
