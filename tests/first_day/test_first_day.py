"""A newcomer's first day, with the pictures of all that people see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import find_pictures
from tests.first_day.day import run_day

pytestmark = pytest.mark.slow


@pytest.mark.timeout(600)
def test_first_day(tmp_path: Path) -> None:
    pictures = find_pictures(tmp_path / "pictures")
    work = tmp_path / "work"
    work.mkdir()
    times = run_day(work, pictures)
    assert set(times) == {"clone to chat", "save to new answer", "save to page reloaded", "`nitropy --help`"}
    assert {file.stem for file in pictures.glob("terminal-*.png")} >= {
        "terminal-demo",
        "terminal-dev",
        "terminal-help",
    }
    print(*(f"{name}: {seconds:.2f} s" for name, seconds in times.items()), f"pictures: {pictures}", sep="\n")
