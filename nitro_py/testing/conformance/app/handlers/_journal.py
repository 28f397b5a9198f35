"""What hooks leave for the tests to read: lines in files, so that they outlive the process and cross it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from urllib.parse import quote

# Longer than any test holds a hook, in seconds.
PATIENCE = 120.0


def note(key: str, line: str) -> None:
    """Add a line to a journal."""
    with _file(key).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def read(key: str) -> list[str]:
    """Return a journal's lines."""
    file = _file(key)
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


async def reach(key: str, line: str, count: int = 1) -> None:
    """Wait until a line stands in a journal so many times."""
    async with asyncio.timeout(PATIENCE):
        while read(key).count(line) < count:  # noqa: ASYNC110 - another process may write it
            await asyncio.sleep(0.01)


def _file(key: str) -> Path:
    return Path(os.environ["CONFORMANCE_JOURNAL"]) / quote(key, safe="")
