from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.asgi.public_files import hash_content
from nitro_py.runtime.asgi.validated_files import is_hashed
from nitro_py.runtime.manifest import Manifest
from tests.bundles import build_project, run_bundle, write_files

HANDLER = """
from nitro_py import Event, define_handler

@define_handler
async def handler(event: Event) -> str:
    return "hello"
"""
# The time of every file in a function package and in an image.
EPOCH = 315532800


@pytest.mark.parametrize(
    "path",
    [
        "/app.3f9a0c1b.js",
        "/static/js/main.8e5b12c4d9.chunk.js",
        "/a/b-0a1b2c3d4e5f60718293.css",
        "/assets/index-D9wrgTda.css",
        "/assets/nested/logo-B7x_K2q1.svg",
        "/_app/immutable/entry.C3mZk9Qa.js",
    ],
)
def test_name_of_a_bundler_has_a_hash(path: str) -> None:
    assert is_hashed(path)


@pytest.mark.parametrize(
    "path",
    [
        "/app.js",
        "/report-20240131.pdf",
        "/report-20240131b.pdf",
        "/decade1990-face2face.css",
        "/jquery-3.7.1.min.js",
        "/app.3f9a0c1b.html",
        "/assets/jquery-ui-datepick.js",
        "/assets/book-Chapter2.png",
        "/assets/logo-DarkMode.svg",
        "/index-D9wrgTda.css",
        "/3f9a0c1b/app.js",
    ],
)
def test_word_date_and_version_are_none(path: str) -> None:
    assert not is_hashed(path)


def build_version(root: Path, text: str) -> Path:
    """Build a project with a public file, whose time is that of every file in a package."""
    output = build_project(write_files(root, {"public/app.js": text}))
    os.utime(output / "server/public/app.js", (EPOCH, EPOCH))
    return output


def test_new_version_of_equal_length_and_time_is_sent(tmp_path: Path) -> None:
    write_files(tmp_path, {"nitro.toml": 'preset = "asgi"\n', "handlers/hello.get.py": HANDLER})
    with run_bundle(build_version(tmp_path, "let a = 1;\n")) as server:
        first = httpx.get(f"{server.url}/app.js")
    known = {"if-none-match": first.headers["etag"]}
    with run_bundle(build_version(tmp_path, "let a = 2;\n")) as server:
        second = httpx.get(f"{server.url}/app.js", headers=known)
    assert (first.text, second.status_code, second.text) == ("let a = 1;\n", 200, "let a = 2;\n")


@pytest.mark.anyio
async def test_file_that_changes_in_development_is_sent_anew(tmp_path: Path) -> None:
    name = "app.3f9a0c1b.js"
    file = tmp_path / "public" / name
    file.parent.mkdir()
    file.write_text("1")
    manifest = Manifest(mode="development", routes=(), public={f"/{name}": hash_content(b"1")})
    transport = httpx.ASGITransport(Application(App(tmp_path, manifest)))
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        first = await client.get(f"/{name}")
        assert (first.text, first.headers["cache-control"]) == ("1", "no-cache")
        file.write_text("2")
        second = await client.get(f"/{name}", headers={"if-none-match": first.headers["etag"]})
        assert (second.status_code, second.text) == (200, "2")
