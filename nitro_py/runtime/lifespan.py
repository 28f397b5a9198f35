"""Plugins, and the lifespans of mounted applications: both start and stop with the process."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nitro_py.errors import NitroError
from nitro_py.runtime.containment import contain
from nitro_py.runtime.routing.loader import load_export

if TYPE_CHECKING:
    from nitro_py.mount import ASGIApplication

logger = logging.getLogger("nitro_py.lifespan")


# How long a start is waited for in silence, in seconds; in development somebody waits for it.
PATIENCE = 10.0
DEVELOPMENT_PATIENCE = 1.0


@contextmanager
def naming_slow(what: str, patience: float) -> Iterator[None]:
    """Log what is waited for if it takes long, even while it holds up this thread.

    Args:
        what: The log's line, up to how long it has taken.
        patience: From when on it is told, in seconds.
    """
    # No task: what blocks the loop would hold it up too.
    timer = threading.Timer(patience, logger.warning, ("%s after %g s.", what, patience))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@asynccontextmanager
async def run_plugin(root: Path, file: str, *, patience: float = PATIENCE) -> AsyncIterator[None]:
    """Run the plugin of a file: up to its `yield` at the block's start, the rest at its end.

    Args:
        root: The folder that the file is relative to.
        file: The file.
        patience: After how many seconds a plugin is named that has not reached its `yield`.

    Raises:
        NitroError: The plugin ends without a `yield`, or has a second one.
    """
    from nitro_py.plugins import Plugin

    generator = load_export(root, file, Plugin).function()
    try:
        with naming_slow(f"The plugin `{file}` has not reached its `yield`", patience):
            await anext(generator)
    except StopAsyncIteration:
        raise NitroError(f"The plugin `{file}` ended without a `yield`: expected one.", file=file) from None
    yield
    try:
        await anext(generator)
    except StopAsyncIteration:
        return
    raise NitroError(f"The plugin `{file}` has a second `yield`: expected one, got more.", file=file)


@asynccontextmanager
async def run_lifespan(
    app: ASGIApplication, file: str, *, patience: float = PATIENCE
) -> AsyncIterator[dict[str, Any]]:
    """Run a mounted application's lifespan for the block, and yield the state that the application has set.

    An application that does not speak the lifespan protocol is left alone, as the ASGI specification says.

    Args:
        app: The application.
        file: The file that mounts it.
        patience: After how many seconds an application is named that has not started.

    Raises:
        NitroError: The application cannot start.
    """
    import asyncio

    state: dict[str, Any] = {}
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}

    async def call() -> None:
        try:
            await app(scope, inbox.get, outbox.put)
        except BaseException as raised:
            error = contain(raised)
            logger.debug("A mounted application has no lifespan: %s", error)
        finally:
            outbox.put_nowait({"type": "gone"})

    task = asyncio.create_task(call())
    inbox.put_nowait({"type": "lifespan.startup"})
    with naming_slow(f"The application that `{file}` mounts has not started", patience):
        answer = await outbox.get()
    if answer["type"] == "lifespan.startup.failed":
        await task
        raise NitroError(f"A mounted application cannot start: {answer.get('message', '')}")
    yield state
    if not task.done():
        inbox.put_nowait({"type": "lifespan.shutdown"})
        answer = await outbox.get()
        if answer["type"] == "lifespan.shutdown.failed":
            logger.error("A mounted application could not stop: %s", answer.get("message", ""))
    await task
