"""Every page is linked, and every link leads somewhere."""

from __future__ import annotations

import re

import pytest

from tests.checkout import ROOT, list_files
from tests.docs.pages import FENCE, read_page

PAGES = [file.as_posix() for file in list_files() if file.suffix == ".md" and file.parts[0] != "tests"]
LINK = re.compile(r"\]\((?!https?:)([^)\s]*)\)")
# Neither needs a link: one is read by tools, the others point to a page.
UNLINKED = {"CHANGELOG.md", "README.md", "infra/README.md", "presets/README.md"}


def list_links(page: str) -> list[tuple[str, str]]:
    """List a page's links: file relative to the checkout, and anchor."""
    found = []
    for link in LINK.findall(FENCE.sub("", read_page(page))):
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        found.append((target.resolve().relative_to(ROOT).as_posix(), anchor))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for file, anchor in list_links(page):
        assert (ROOT / file).exists(), file
        if anchor:
            text = FENCE.sub("", read_page(file))
            heads = [_anchor_of(head) for head in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
            assert anchor in [*heads, *re.findall(r'<a id="(\w+)">', text)], f"{file}#{anchor}"


def test_every_page_is_linked() -> None:
    linked = {file for page in PAGES for file, _ in list_links(page)}
    assert set(PAGES) - linked == UNLINKED - linked


def _anchor_of(head: str) -> str:
    return re.sub(r"[^a-z0-9 _-]", "", head.lower()).replace(" ", "-")
