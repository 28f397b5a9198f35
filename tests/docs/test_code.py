"""Every file, folder and name of the code that a page mentions is there."""

from __future__ import annotations

import re

import pytest

from tests.checkout import ROOT
from tests.docs.pages import FENCE, read_page
from tests.docs.test_links import PAGES

# Below these folders nothing on a page is an example.
PLACE = re.compile(r"`((?:nitro_py|presets|tests|infra|docs|\.ci)/[^`\s:]*)`")

# A file of the reader's own project.
EXAMPLES = {"tests/test_harbor.py"}


def list_places(page: str) -> list[str]:
    """List the files and folders of the checkout that a page names."""
    return PLACE.findall(FENCE.sub("", read_page(page)))


def test_places_are_found() -> None:
    assert {"nitro_py/runtime/settings.py", "tests/docs"} <= set(list_places("CONTRIBUTING.md"))


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_places_of_a_page_exist(page: str) -> None:
    assert [place for place in list_places(page) if place not in EXAMPLES and not (ROOT / place).exists()] == []
