"""Every file, folder and name of the code that a page mentions is there."""

from __future__ import annotations

import re

import pytest

from tests.checkout import ROOT
from tests.docs.pages import FENCE, read_page
from tests.docs.test_links import PAGES

ARCHITECTURE = "docs/architecture.md"
# Below these folders nothing on a page is an example.
PLACE = re.compile(r"`((?:nitro_py|presets|tests|infra|docs|\.ci)/[^`\s:*]*)`")
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)`")
# Files of the reader's own projects.
EXAMPLES = {"infra/aws.yaml", "tests/test_chat.py", "tests/test_harbor.py"}
# Words of ASGI and of users, which nothing in a line's files needs to define.
WORDS = {"QUERY", "asgi", "local", "nats", "nitro_py", "open", "postgres", "receive", "redis", "send", "upgrade"}


def list_places(text: str) -> list[str]:
    """List the files and folders of the checkout that a text names."""
    return [place for place in PLACE.findall(FENCE.sub("", text)) if place not in EXAMPLES]


def read_sources(place: str) -> str:
    """Read a module, or all modules below a folder."""
    path = ROOT / place
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def find_undefined(line: str) -> list[str]:
    """Find the names in a line that none of the modules in it defines."""
    places = list_places(line)
    source = "\n".join(map(read_sources, places))
    names = [name for name in NAME.findall(line) if name not in WORDS and not name.endswith((".py", ".toml"))]
    return [name for name in names if places and not all(_defines(source, part) for part in name.split("."))]


def test_places_and_names_are_found() -> None:
    line = "1. `nitro_py/peer.py`: `Peer.publish` and `Peer.shout` call `encode_frame` and `nothing_at_all`"
    assert list_places(line) == ["nitro_py/peer.py"]
    assert find_undefined(line) == ["Peer.shout", "encode_frame", "nothing_at_all"]


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_places_of_a_page_exist(page: str) -> None:
    assert [place for place in list_places(read_page(page)) if not (ROOT / place).exists()] == []


def test_names_of_the_map_are_defined_where_it_says() -> None:
    lines = [line for line in read_page(ARCHITECTURE).splitlines() if not line.startswith("| the plan")]
    assert [(name, line[:60]) for line in lines for name in find_undefined(line)] == []


def test_map_names_every_room() -> None:
    named = set(list_places(read_page(ARCHITECTURE)))
    rooms = {
        f"{path.parent.relative_to(ROOT).as_posix()}/"
        for package in ("nitro_py", "nitro_py/runtime")
        for path in (ROOT / package).glob("*/__init__.py")
    }
    assert rooms - named == set()


def _defines(source: str, name: str) -> bool:
    return (
        re.search(rf"^\s*(?:class|def|async def) {name}\b|^\s*{name}\b[^=\n]*=", source, re.MULTILINE) is not None
    )
