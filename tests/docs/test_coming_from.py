"""The pages for those who come from elsewhere: our side of each example builds, and its tests pass."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bundles import build_project, write_files
from tests.checkout import ROOT
from tests.docs.pages import find_blocks, read_page, run_tests

PAGES = sorted(file.relative_to(ROOT).as_posix() for file in (ROOT / "docs/coming-from").glob("*.md"))
FASTAPI = "docs/coming-from/fastapi.md"


def is_test(text: str) -> bool:
    """Return whether a block has tests of the reader."""
    return "nitro_py.testing" in text


def run_theirs(page: str) -> list[dict[str, Any]]:
    """Run their side of a page's examples, and return the names that each defines."""
    scopes = []
    for block in find_blocks("python", page):
        if "nitro_py" not in block.text:
            scope: dict[str, Any] = {}
            exec(compile(block.text, page, "exec", dont_inherit=True), scope)
            scopes.append(scope)
    return scopes


def test_there_is_a_page_for_each() -> None:
    names = [Path(page).stem for page in PAGES]
    assert names == ["chalice", "channels", "fastapi", "flask-socketio", "nitro"]


@pytest.mark.parametrize("page", PAGES)
def test_page_begins_with_what_is_not_there(page: str) -> None:
    heads = re.findall(r"^## (.*)$", read_page(page), re.MULTILINE)
    assert (heads[0], heads[-1]) == ("What is not there", "Tests")


@pytest.mark.parametrize("page", PAGES)
def test_their_side_is_python(page: str) -> None:
    theirs = [block for block in find_blocks("python", page) if "nitro_py" not in block.text]
    assert bool(theirs) != bool(find_blocks("typescript", page))
    for block in theirs:
        ast.parse(block.text)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_our_side_builds_and_its_tests_pass(page: str, tmp_path: Path) -> None:
    blocks = [block for block in find_blocks("python", page) if "nitro_py" in block.text]
    files = {block.file: block.text for block in blocks if block.file and not is_test(block.text)}
    (tests,) = [block for block in blocks if is_test(block.text)]
    assert len(files) == len(blocks) - 1
    write_files(tmp_path, {**files, "nitro.toml": "experimental.websocket = true\n"})
    build_project(tmp_path)
    count = tests.text.count("async def test_")
    shown = run_tests(tmp_path, tests)
    assert f"{count} passed" in shown, shown


@pytest.mark.anyio
async def test_fastapi_does_what_its_side_says() -> None:
    shop, stream, _ = (
        httpx.AsyncClient(transport=httpx.ASGITransport(scope["app"]), base_url="http://localhost")
        for scope in run_theirs(FASTAPI)
    )
    answer = await shop.post("/shops/tea/items", json={"name": "Assam"}, params={"gift": "yes"})
    assert (answer.status_code, answer.json()["gift"]) == (201, True)
    assert (await shop.post("/shops/tea/items", json={})).status_code == 422
    ticks = await stream.get("/ticks")
    assert ticks.headers["content-type"].startswith("text/event-stream")
    assert ticks.text.split() == ["data:", '{"n":0}', "data:", '{"n":1}', "data:", '{"n":2}']
    lines = await stream.get("/lines")
    assert lines.headers["content-type"] == "application/jsonl"
    assert lines.text.split() == ['{"n":0}', '{"n":1}', '{"n":2}']
