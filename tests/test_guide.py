"""The guide is true: its handlers build and run, its tests pass, and its settings are those that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import nitro_py
from nitro_py.build.bundle.runtime_files import collect_runtime
from nitro_py.build.config.settings import NitroConfig
from nitro_py.encoding import to_json
from nitro_py.runtime.manifest import read_manifest
from tests.bundles import Server, build_project, run_bundle, write_files
from tests.checkout import ROOT
from tests.readme import find_blocks, find_table, read_readme, run_tests

GUIDE = "nitro_py/README.md"
PAGES = ("README.md", GUIDE, "infra/README.md", "presets/README.md")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the guide's handlers into a new project."""
    files = {block.file: block.text for block in find_blocks("python", GUIDE) if block.file}
    settings = {"nitro.toml": "experimental.websocket = true\n", "public/index.html": "<h1>hi</h1>"}
    return write_files(tmp_path_factory.mktemp("guide"), files | settings)


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    """Run the built project."""
    with run_bundle(build_project(project)) as running:
        yield running


def test_handlers_build_as_what_they_are_said_to_be(project: Path) -> None:
    manifest = read_manifest(build_project(project) / "server")
    assert {route.file: route.kind for route in manifest.routes} == {
        "handlers/api/users/[id].put.py": "http",
        "handlers/api/room.py": "websocket",
        "handlers/api/feed.py": "sse",
    }
    assert manifest.middleware == ("handlers/middleware/cors.py",)
    assert manifest.plugins == ("handlers/plugins/database.py",)


def test_request_is_validated_and_passes_the_middleware(server: Server) -> None:
    answer = httpx.put(f"{server.url}/api/users/7?verbose=yes", json={"name": "Ada"})
    assert (answer.status_code, answer.json()) == (201, {"id": "7", "user": {"name": "Ada", "age": 0}})
    assert answer.headers["x-verbose"] == "yes"
    assert answer.headers["access-control-allow-origin"] == "https://example.com"
    assert httpx.put(f"{server.url}/api/users/7", json={}).json()["data"][0]["loc"] == ["name"]
    preflight = httpx.options(f"{server.url}/api/users/7")
    assert (preflight.status_code, preflight.headers["access-control-allow-headers"]) == (204, "content-type")


def test_public_file_is_served(server: Server) -> None:
    assert httpx.get(server.url).text == "<h1>hi</h1>"


def test_tests_of_the_reader_pass(project: Path) -> None:
    (block,) = [block for block in find_blocks("python", GUIDE) if "nitro_py.testing" in block.text]
    assert "3 passed" in run_tests(project, block)


def test_guide_stays_out_of_bundles() -> None:
    assert [file for file in collect_runtime("nitro_presets.asgi", "entry.py") if file.endswith(".md")] == []


def test_names_of_the_api_exist() -> None:
    cells = [row[0] for row in find_table("here", GUIDE)]
    named = set(
        re.findall(r"`(?:await )?((?:define|create|read|get|mount|publish|runtime)\w*|[A-Z]\w+)", " ".join(cells))
    )
    assert len(named) > 10
    assert named - set(nitro_py.__all__) == set()


def test_table_names_every_setting_with_its_default() -> None:
    expected = [[f"`{name}`", default and f"`{default}`", meaning] for name, default, meaning in _list_settings()]
    assert find_table("setting", GUIDE) == expected


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    links = re.findall(r"\]\((?!https?:)([^)]*)\)", read_readme(page))
    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        target = (folder / file).resolve() if file else ROOT / page
        assert target.exists(), link
        if anchor:
            heads = re.findall(r"^#+ (.*)$", read_readme(str(target.relative_to(ROOT))), re.MULTILINE)
            assert anchor in [_anchor_of(head) for head in heads], link


def _anchor_of(head: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-")


def _list_settings() -> Iterator[tuple[str, str, str]]:
    schema = NitroConfig.model_json_schema()
    yield from _walk(schema, schema["properties"], "")


def _walk(schema: dict[str, Any], properties: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    for key, value in properties.items():
        if "$ref" in value:
            section = schema["$defs"][value["$ref"].rpartition("/")[2]]
            # The same switches by another name.
            if key != "features":
                yield from _walk(schema, section["properties"], f"{prefix}{key}.")
        else:
            default = "" if value["default"] is None else to_json(value["default"])
            yield f"{prefix}{key}", default, value["description"]
