"""Running coroutines from Lambda's plain functions, without asyncio until a handler imports it.

Serves the benchmark row `lambda-cold-http`: importing asyncio takes longer than the rest of a function's start,
and a handler that waits for nothing needs no event loop.
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
    """Run a coroutine to its end; tasks that it has started go on at the next call.

    Lambda's handlers are plain functions that are called outside of any event loop.

    Example:
        def handler(event: Any, context: Any) -> Any:
            return run(answer(event, context))
    """
    if _loop is not None:
        return _loop.run(work)
    # The import hook does not see the imports of another thread.
    if AsyncioImportHook.is_too_late() or _thread._count():
        return enter_loop().run(work)
    sys.set_asyncgen_hooks(finalizer=_finalize)
    return FirstStep(work).take()


def enter_loop() -> FunctionLoop:
    """Return the event loop, and make it the thread's current one."""
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
    """A coroutine whose first step is taken outside of any event loop.

    Most coroutines end with it. If it imports asyncio, it goes on as a task of the loop, so that `current_task`,
    `timeout` and `TaskGroup` work; if it then waits, the task takes the further steps. The task gets the result of
    the first step when it takes its own first one.

    Args:
        work: The coroutine.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._context = copy_context()
        self._task: asyncio.Task[T] | None = None
        self._replayed = False
        self._yielded: Any = None
        self._raised: BaseException | None = None

    def take(self) -> T:
        """Take the first step, and those that follow; return the coroutine's result."""
        hook = AsyncioImportHook(self._enter)
        hook.install()
        try:
            self._yielded = self._context.run(self._work.send, None)
        except BaseException as error:
            if self._task is None:
                if isinstance(error, StopIteration):
                    value: T = error.value
                    return value
                raise
            self._raised = error
        finally:
            hook.remove()
        # A coroutine that waits without asyncio gets the loop's error.
        task = self._task or self._enter()
        return enter_loop().leave(task)

    def send(self, value: Any) -> Any:
        """Take a step of the task."""
        if self._replayed:
            return self._work.send(value)
        self._replayed = True
        if self._raised is not None:
            raise self._raised
        return self._yielded

    def throw(self, *error: Any) -> Any:
        """Take a step of the task, in which an exception is raised."""
        if self._replayed:
            return self._work.throw(*error)
        self._replayed = True
        if self._raised is not None:
            raise error[0] if isinstance(self._raised, StopIteration) else self._raised
        if self._yielded is None:
            return self._work.throw(*error)
        # A cancelled task cancels first what it waits for.
        self._yielded.cancel()
        return self._yielded

    def close(self) -> None:
        """Close the coroutine."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        raise NotImplementedError("Only a task takes its steps.")

    def _enter(self) -> asyncio.Task[T]:
        self._task = enter_loop().enter(self, self._context)
        return self._task


def _finalize(generator: AsyncGenerator[Any, Any]) -> None:
    enter_loop().finalize(generator)
