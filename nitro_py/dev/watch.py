"""A watch over the files of a project."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path, PurePosixPath

from watchfiles import Change, awatch

from nitro_py.build.bundle.exclude import travels
from nitro_py.build.config.env_files import ENV_FILES
from nitro_py.dev.changes import Changes, compare
from nitro_py.dev.run_file import STATE_DIR
from nitro_py.errors import UsageError

# How long to wait for more events of one save, and how often to look for them, in milliseconds.
DEBOUNCE = 50
STEP = 10
# How long nothing may change before what changed is taken as one change, and how long that may take, in seconds.
QUIET = 0.04
MAX_UNREST = 1.0


class ProjectWatch:
    """A watch over the files that a build may depend on.

    The top of the project is watched by itself and its folders one by one, so that the many files of a virtual
    environment or of `node_modules` cost nothing.

    Args:
        root: The project's folder.
        output_dir: The folder that a build writes, relative to it.
    """

    def __init__(self, root: Path, output_dir: str) -> None:
        self._root = root
        self._left_out = (PurePosixPath(STATE_DIR), PurePosixPath(output_dir))
        self._changes: asyncio.Queue[set[str] | Exception] = asyncio.Queue()
        self._folders: list[Path] = []
        # Whether each path counts, which takes long to find out.
        self._kept: dict[str, bool] = {}
        # Whether folders at the top have come or gone: a folder that was deleted and made again is not watched.
        self._moved = True

    async def watch(self) -> AsyncGenerator[Changes, None]:
        """Yield what has changed: first nothing, once the watch has begun.

        Raises:
            UsageError: The system refuses to watch.
        """
        top = asyncio.create_task(self._feed([self._root], recursive=False))
        deep: asyncio.Task[None] | None = None
        changed = Changes()
        try:
            known = await asyncio.to_thread(self._scan)
            while True:
                if self._moved:
                    self._moved = False
                    self._folders = self._find_folders()
                    await stop_task(deep)
                    deep = asyncio.create_task(self._feed(self._folders, recursive=True))
                # The tasks must begin to watch before the caller begins to build.
                await asyncio.sleep(0)
                yield changed
                touched = await self._next_changes()
                before, known = known, await asyncio.to_thread(self._scan)
                changed = compare(before, known, touched)
        finally:
            await stop_task(top)
            await stop_task(deep)

    def keep(self, change: Change, name: str) -> bool:
        """Return whether a changed path is one that a build, or the environment of the app, may depend on."""
        path = PurePosixPath(Path(name).relative_to(self._root).as_posix())
        return (travels(path) or path.as_posix() in ENV_FILES) and not any(
            path.is_relative_to(folder) for folder in self._left_out
        )

    def _find_folders(self) -> list[Path]:
        return [
            path
            for path in sorted(self._root.iterdir())
            if path.is_dir() and self.keep(Change.added, str(path)) and not (path / "pyvenv.cfg").exists()
        ]

    def _scan(self) -> dict[str, tuple[int, int]]:
        """Return the inode and time of all paths that a build may depend on.

        A rename keeps both. The inode alone would not do: systems use that of a deleted file again.
        """
        found: dict[str, tuple[int, int]] = {}
        waiting = [str(self._root)]
        while waiting:
            folder = waiting.pop()
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.path not in self._kept:
                        self._kept[entry.path] = self.keep(Change.added, entry.path)
                    if not self._kept[entry.path]:
                        continue
                    name = entry.path[len(str(self._root)) + 1 :]
                    status = entry.stat(follow_symlinks=False)
                    identity = (status.st_ino, status.st_mtime_ns)
                    if not entry.is_dir(follow_symlinks=False):
                        found[name] = identity
                    elif not os.path.exists(f"{entry.path}/pyvenv.cfg"):
                        found[f"{name}/"] = identity
                        waiting.append(entry.path)
        return found

    async def _next_changes(self) -> set[str]:
        """Wait for a change, and for what comes with it: editors and git write many files one after another."""
        changed = await self._take_changes()
        end = time.monotonic() + MAX_UNREST
        while time.monotonic() < end:
            await asyncio.sleep(QUIET)
            if self._changes.empty():
                break
            changed |= await self._take_changes()
        return changed

    async def _take_changes(self) -> set[str]:
        changed: set[str] = set()
        while not changed or not self._changes.empty():
            found = await self._changes.get()
            if isinstance(found, Exception):
                raise UsageError(
                    f"The project cannot be watched: {found}.",
                    hint="Let the system watch more files, or set `WATCHFILES_FORCE_POLLING=1`.",
                ) from found
            changed |= found
        return changed

    async def _feed(self, paths: Sequence[Path], *, recursive: bool) -> None:
        if not paths:
            return
        changes = awatch(*paths, watch_filter=self.keep, debounce=DEBOUNCE, step=STEP, recursive=recursive)
        try:
            async with aclosing(changes):
                async for found in changes:
                    self._take(found)
        except FileNotFoundError:
            return  # A folder has gone meanwhile; the watch at the top reports that.
        except Exception as error:
            self._changes.put_nowait(error)

    def _take(self, found: set[tuple[Change, str]]) -> None:
        for change, name in found:
            path = Path(name)
            if path.parent == self._root and change is not Change.modified:
                self._moved |= path in self._folders or path.is_dir()
        self._changes.put_nowait({Path(name).relative_to(self._root).as_posix() for _, name in found})


async def stop_task(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait until it has ended."""
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
