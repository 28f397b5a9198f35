"""Work that goes on after an answer: kept alive, logged if it fails, and waited for at the stop."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from nitro_py.runtime.callables import is_awaitable
from nitro_py.runtime.containment import contain, log_failure

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger("nitro_py.tasks")

# The event loop keeps weak references only: without this set a task could vanish while it runs.
_running: set[asyncio.Task[Any]] = set()


def start_task(work: Awaitable[object]) -> None:
    """Start work in a task; an exception in it is logged.

    Raises:
        TypeError: The work cannot be awaited.
    """
    if not is_awaitable(work):
        name = getattr(work, "__name__", None)
        called = f"`{name}(…)`" if name else "a coroutine"
        raise TypeError(f"Expected work that can be awaited, such as {called}, got `{type(work).__name__}`.")
    # A function whose handler starts no work needs no event loop (row `lambda-cold-http`).
    import asyncio

    task = asyncio.get_running_loop().create_task(_logged(work))
    _running.add(task)
    task.add_done_callback(_running.discard)


def has_running_tasks() -> bool:
    """Return whether any work is still running."""
    return bool(_running)


async def wait_for_tasks(seconds: float) -> None:
    """Wait for this loop's running work and for the work that it starts, and cancel what takes longer."""
    if not has_running_tasks():
        return
    import asyncio

    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while tasks := [task for task in _running if task.get_loop() is loop]:
        _, late = await asyncio.wait(tasks, timeout=max(0.0, deadline - loop.time()))
        for task in late:
            task.cancel()
        if late:
            logger.warning("Cancelled %d background tasks that did not end within %g s.", len(late), seconds)
            await asyncio.gather(*late, return_exceptions=True)
            return


async def pause() -> None:
    """Let other tasks run once."""
    import asyncio

    await asyncio.sleep(0)


def run_callback(callback: Callable[[], Awaitable[None] | bool | None]) -> None:
    """Call a function now; if it is async, it goes on in a task."""
    try:
        result = callback()
    except BaseException as error:
        log_failure(logger, contain(error), "A callback failed.")
        return
    if is_awaitable(result):
        start_task(result)


async def _logged(work: Awaitable[object]) -> None:
    try:
        await work
    except BaseException as error:
        from asyncio import CancelledError

        if isinstance(error, CancelledError):
            raise
        log_failure(logger, contain(error), "A background task failed.")
