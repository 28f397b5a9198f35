"""Which changes of a project's files count."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from nitro_py.dev.changes import Changes
from nitro_py.dev.watch import ProjectWatch, stop_task
from tests.bundles import write_files


async def next_change(changes: AsyncIterator[Changes]) -> set[str]:
    """Wait for the next change, and return its paths."""
    return (await asyncio.wait_for(anext(changes), 60)).paths


@pytest.mark.anyio
async def test_files_that_count(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"handlers/a.py": "", "nitro.toml": "", "shop/data/b.json": ""})
    async with aclosing(ProjectWatch(root, "dist").watch()) as changes:
        assert await next_change(changes) == set()
        for name in ("handlers/a.py", "nitro.toml", "shop/data/b.json", "handlers/new.py", ".env", ".env.local"):
            write_files(root, {name: "changed"})
            # A busy machine may tell twice of the file before.
            while name not in await next_change(changes):
                pass


@pytest.mark.anyio
async def test_files_that_do_not(tmp_path: Path) -> None:
    folders = [".nitro/dev", "dist", ".output", ".git", ".venv", "env", "handlers/__pycache__"]
    root = write_files(
        tmp_path, {**{f"{folder}/a": "" for folder in folders}, "env/pyvenv.cfg": "", ".env.production": ""}
    )
    async with aclosing(ProjectWatch(root, "dist").watch()) as changes:
        assert await next_change(changes) == set()
        write_files(root, {f"{folder}/a": "changed" for folder in folders})
        write_files(root, {".env.production": "SECRET=1", "handlers/a.py.swp": ""})
        # What counts comes alone, so nothing of the above has counted.
        await asyncio.sleep(0.3)
        write_files(root, {"handlers/b.py": ""})
        assert await next_change(changes) == {"handlers/b.py"}


@pytest.mark.anyio
async def test_new_folder_is_watched(tmp_path: Path) -> None:
    async with aclosing(ProjectWatch(tmp_path, "dist").watch()) as changes:
        assert await next_change(changes) == set()
        (tmp_path / "handlers").mkdir()
        assert await next_change(changes) == {"handlers"}
        write_files(tmp_path, {"handlers/a.py": ""})
        assert await next_change(changes) == {"handlers/a.py"}
        write_files(tmp_path, {"handlers/a.py": "changed"})
        assert await next_change(changes) == {"handlers/a.py"}


@pytest.mark.anyio
async def test_folder_that_was_made_anew_is_watched(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"handlers/a.py": ""})
    seen: set[str] = set()

    async def collect(changes: AsyncIterator[Changes]) -> None:
        async for changed in changes:
            seen.update(changed.paths)

    async with aclosing(ProjectWatch(root, "dist").watch()) as changes:
        assert await next_change(changes) == set()
        collecting = asyncio.create_task(collect(changes))
        shutil.rmtree(root / "handlers")
        write_files(root, {"handlers/a.py": ""})
        try:
            async with asyncio.timeout(60):
                # Again and again: the new watch begins at some time after what it is made for.
                while "handlers/b.py" not in seen:
                    write_files(root, {"handlers/b.py": ""})
                    await asyncio.sleep(0.1)
        finally:
            await stop_task(collecting)


@pytest.mark.anyio
async def test_changes_are_named_for_what_they_are(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"handlers/a.py": "a", "handlers/b.py": "b", "old/x.py": "", "old/y.py": ""})
    async with aclosing(ProjectWatch(root, "dist").watch()) as changes:
        assert not await asyncio.wait_for(anext(changes), 60)

        async def describe() -> str:
            return (await asyncio.wait_for(anext(changes), 60)).describe()

        (root / "handlers/a.py").rename(root / "handlers/c.py")
        assert await describe() == "handlers/a.py → handlers/c.py"
        # As editors save: the new text comes as a file of its own, which takes the place of the old one.
        write_files(root, {"handlers/b.py.tmp": "new"})
        (root / "handlers/b.py.tmp").rename(root / "handlers/b.py")
        assert await describe() == "handlers/b.py"
        write_files(root, {"handlers/admin/one.py": "", "handlers/admin/two.py": ""})
        assert await describe() == "handlers/admin/ (new, 2 files)"
        (root / "old").rename(root / "new")
        assert await describe() == "old/ → new/"
        shutil.rmtree(root / "handlers/admin")
        assert await describe() == "handlers/admin/ (removed, 2 files)"


@pytest.mark.anyio
async def test_many_files_are_one_change(tmp_path: Path) -> None:
    names = {f"handlers/{number}.py" for number in range(10)}
    root = write_files(tmp_path, dict.fromkeys(names, ""))
    async with aclosing(ProjectWatch(root, "dist").watch()) as changes:
        assert await next_change(changes) == set()
        # A machine that is busy may take too long from one to the next now and then, but not always.
        first: set[str] = set()
        for attempt in range(10):
            for name in sorted(names):
                write_files(root, {name: f"changed {attempt}"})
                await asyncio.sleep(0.01)
            first = await next_change(changes)
            seen = set(first)
            while seen != names:
                seen |= await next_change(changes)
            if first == names:
                break
        assert first == names
