"""Watching the files of a project."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from pathlib import Path, PurePosixPath

from watchfiles import Change, awatch

from nitro_py.build.exclude import travels
from nitro_py.dev.run_file import STATE_DIR

# An editor's save is several events; how long more of them are waited for, in milliseconds.
DEBOUNCE = 50
STEP = 10


class ProjectWatch:
    """Watches what a build may depend on.

    The top of the project is watched by itself and its folders one by one, so that the many files of a virtual
    environment or of `node_modules` cost nothing.

    Args:
        root: The project's folder.
        output_dir: The folder that a build writes, relative to it.
    """

    def __init__(self, root: Path, output_dir: str) -> None:
        self._root = root
        self._left_out = (PurePosixPath(STATE_DIR), PurePosixPath(output_dir))
        self._changes: asyncio.Queue[set[str]] = asyncio.Queue()

    async def watch(self) -> AsyncGenerator[set[str], None]:
        """Gives the changed files, relative to the project: none at first, as soon as the watching has begun."""
        top = asyncio.create_task(self._feed([self._root], recursive=False))
        folders: list[Path] = []
        deep: asyncio.Task[None] | None = None
        changed: set[str] = set()
        try:
            while True:
                found = self._list_folders()
                if found != folders:
                    await stop_task(deep)
                    deep = asyncio.create_task(self._feed(found, recursive=True)) if found else None
                    folders = found
                # The tasks begin to watch before whoever asked begins to build.
                await asyncio.sleep(0)
                yield changed
                changed = await self._changes.get()
                while not self._changes.empty():
                    changed |= self._changes.get_nowait()
        finally:
            await stop_task(top)
            await stop_task(deep)

    def keep(self, change: Change, name: str) -> bool:
        """Tells whether a changed path counts."""
        path = PurePosixPath(Path(name).relative_to(self._root).as_posix())
        return travels(path) and not any(path.is_relative_to(folder) for folder in self._left_out)

    def _list_folders(self) -> list[Path]:
        return sorted(
            path
            for path in self._root.iterdir()
            if path.is_dir() and self.keep(Change.added, str(path)) and not (path / "pyvenv.cfg").exists()
        )

    async def _feed(self, paths: Iterable[Path], *, recursive: bool) -> None:
        changes = awatch(*paths, watch_filter=self.keep, debounce=DEBOUNCE, step=STEP, recursive=recursive)
        async with aclosing(changes):
            async for found in changes:
                names = {Path(name).relative_to(self._root).as_posix() for _, name in found}
                self._changes.put_nowait(names)


async def stop_task(task: asyncio.Task[None] | None) -> None:
    """Cancels a task and waits until it has ended."""
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
