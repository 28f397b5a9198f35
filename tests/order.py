"""The order of the tests where several processes share them, and who gets which."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.checkout import ROOT

TESTS = Path(__file__).parent


class FixtureScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """A schedule that leaves tests with shared fixtures to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return find_group(nodeid)


@cache
def find_group(nodeid: str) -> str:
    """Return what a test shares fixtures with: a folder that has a `conftest.py` of its own, or else its file.

    Example:
        >>> find_group("tests/dev/test_dev.py::test_page"), find_group("tests/test_sse.py::test_data")
        ('tests/dev', 'tests/test_sse.py')
    """
    file = nodeid.partition("::")[0]
    for folder in (ROOT / file).parents:
        if folder == TESTS:
            return file
        if (folder / "conftest.py").exists():
            return folder.relative_to(ROOT).as_posix()
    return file


def put_slow_groups_first(items: list[pytest.Item]) -> None:
    """Sort tests, so that no process is left with a slow group when the others are done."""
    slow = {find_group(item.nodeid) for item in items if item.get_closest_marker("slow")}
    groups = list(dict.fromkeys(find_group(item.nodeid) for item in items))
    places = {group: place for place, group in enumerate(groups)}
    items.sort(key=lambda item: (find_group(item.nodeid) not in slow, places[find_group(item.nodeid)]))
