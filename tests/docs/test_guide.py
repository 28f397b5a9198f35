"""The guide is true: its handlers build and run, its tests pass, and its settings are those that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import nitro_py
from nitro_py.runtime.manifest import read_manifest
from tests.bundles import Server, build_project, run_bundle, write_files
from tests.docs.pages import find_blocks, find_table, run_tests
from tests.docs.settings import PAGE, list_settings

GUIDE = "docs/guide.md"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the guide's handlers into a new project."""
    files = {block.file: block.text for block in find_blocks("python", GUIDE) if block.file}
    config = "experimental.websocket = true\nlog.level = 'info'\nruntime_config.session_key = 'for these tests'\n"
    settings = {"nitro.toml": config, "public/index.html": "<h1>hi</h1>"}
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
        "handlers/api/login.post.py": "http",
        "handlers/api/me.get.py": "http",
        "handlers/api/photos.post.py": "http",
        "handlers/api/room.py": "websocket",
        "handlers/api/feed.py": "sse",
    }
    assert manifest.middleware == ("handlers/middleware/cors.py", "handlers/middleware/timing.py")
    assert manifest.plugins == ("handlers/plugins/database.py",)


def test_request_is_validated_and_passes_the_middleware(server: Server) -> None:
    answer = httpx.put(f"{server.url}/api/users/7?verbose=yes", json={"name": "Ada"})
    assert (answer.status_code, answer.json()) == (201, {"id": "7", "user": {"name": "Ada", "age": 0}})
    assert answer.headers["x-verbose"] == "yes"
    assert answer.headers["access-control-allow-origin"] == "https://example.com"
    assert httpx.put(f"{server.url}/api/users/7", json={}).json()["data"][0]["loc"] == ["name"]
    preflight = httpx.options(f"{server.url}/api/users/7")
    assert (preflight.status_code, preflight.headers["access-control-allow-headers"]) == (204, "content-type")


def test_answers_and_errors_are_timed(server: Server) -> None:
    assert httpx.put(f"{server.url}/api/users/8", json={"name": "Ada"}).status_code == 201
    assert httpx.put(f"{server.url}/api/users/9", json={}).status_code == 400
    log = server.read_log()
    assert re.search(r"app\.timing: PUT /api/users/8: 201 in [\d.]+ ms", log)
    assert re.search(r"app\.timing: PUT /api/users/9: 400 in [\d.]+ ms", log)


def test_session_is_signed_and_sent_over_the_wire(server: Server) -> None:
    with httpx.Client(base_url=server.url) as browser:
        login = browser.post("/api/login", data={"name": "ada", "password": "engine"})
        assert (login.status_code, login.headers["location"]) == (303, "/api/me")
        cookie = login.headers["set-cookie"].partition(";")[0]
        assert browser.get("/api/me", headers={"cookie": cookie}).json() == {"name": "ada"}
        for forged in ("session=", "session=.", cookie.replace("ada", "bob"), f"{cookie}0", "session=\xe9.0"):
            assert browser.get("/api/me", headers=[(b"cookie", forged.encode())]).status_code == 401
        assert browser.post("/api/login", data={"name": "ada", "password": "code"}).status_code == 403


def test_session_without_a_key_is_an_error(project: Path) -> None:
    with run_bundle(build_project(project), environ={"NITRO_RUNTIME_CONFIG__SESSION_KEY": ""}) as keyless:
        login = httpx.post(f"{keyless.url}/api/login", data={"name": "ada", "password": "engine"})
        assert (login.status_code, "set-cookie" in login.headers) == (500, False)
        assert httpx.get(f"{keyless.url}/api/me", headers={"cookie": "session=ada.0"}).status_code == 500
        assert "Set NITRO_RUNTIME_CONFIG__SESSION_KEY." in keyless.read_log()


def test_uploads_are_counted(server: Server) -> None:
    files = [("photo", ("a.png", b"123")), ("photo", ("b.png", b"")), ("other", ("c.png", b"1"))]
    assert httpx.post(f"{server.url}/api/photos", files=files).json() == {"a.png": 3, "b.png": 0}


def test_public_file_is_served(server: Server) -> None:
    assert httpx.get(server.url).text == "<h1>hi</h1>"


@pytest.mark.slow
def test_tests_of_the_reader_pass(project: Path) -> None:
    (block,) = [block for block in find_blocks("python", GUIDE) if "nitro_py.testing" in block.text]
    assert "7 passed" in run_tests(project, block)


def test_names_of_the_api_exist() -> None:
    cells = [row[0] for row in find_table("here", "docs/coming-from.md")]
    named = set(
        re.findall(r"`(?:await )?((?:define|create|read|get|mount|publish|runtime)\w*|[A-Z]\w+)", " ".join(cells))
    )
    assert len(named) > 10
    assert named - set(nitro_py.__all__) == set()


def test_table_names_every_setting_with_its_default() -> None:
    assert find_table("setting", PAGE) == list_settings(), "run `python -m tests.docs.settings`"
