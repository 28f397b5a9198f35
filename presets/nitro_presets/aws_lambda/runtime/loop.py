"""The one event loop of a function's process, which stands still between invocations and keeps what it holds."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_loop: asyncio.AbstractEventLoop | None = None


def enter_loop() -> asyncio.AbstractEventLoop:
    """Gives the loop, and makes it the thread's current one."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
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
    return enter_loop().run_until_complete(work)
