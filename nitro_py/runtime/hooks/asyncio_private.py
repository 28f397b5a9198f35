"""The names of asyncio that are not public, and what stands in for them where a release lacks them.

asyncio documents both for tasks of third parties ("Extending asyncio").
"""

from __future__ import annotations

import asyncio
import asyncio.tasks
from collections.abc import Callable
from typing import Any, Final

NAMES: Final = ("_enter_task", "_leave_task")
CAN_ENTER_TASKS: Final = all(hasattr(asyncio.tasks, name) for name in NAMES)


def _refuse(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """Refuse, as if another task ran: the hook then gets a task of its own, by the public API."""
    raise RuntimeError("This release of asyncio cannot enter a task.")


enter_task: Callable[[asyncio.AbstractEventLoop, asyncio.Task[Any]], None]
leave_task: Callable[[asyncio.AbstractEventLoop, asyncio.Task[Any]], None]
# Not wrapped: both are called for each message.
enter_task, leave_task = (getattr(asyncio.tasks, name) if CAN_ENTER_TASKS else _refuse for name in NAMES)
