"""The README is true: its handlers build and run, its commands and tables say what there is."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from nitro_py.build.config.load import find_models, load_config
from nitro_py.runtime.manifest import read_manifest
from tests.bundles import Server, build_project, run_bundle, write_files
from tests.checkout import ROOT
from tests.docs.pages import Block, find_blocks, find_table, read_page, run_tests

KINDS = {
    "handlers/api/users/[id].get.py": "http",
    "handlers/api/chat.py": "websocket",
    "handlers/api/countdown.py": "sse",
    "handlers/api/announce.post.py": "http",
    "handlers/[...].py": "http",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the README's handlers and its settings into a new project."""
    files = {block.file: block.text for block in find_blocks("python") if block.file}
    settings = find_blocks("toml")[0]
    return write_files(tmp_path_factory.mktemp("readme"), {**files, "pyproject.toml": settings.text})


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    """Run the built project."""
    with run_bundle(build_project(project)) as running:
        yield running


def test_handlers_build_as_the_kinds_they_are_said_to_be(project: Path) -> None:
    manifest = read_manifest(build_project(project) / "server")
    assert {route.file: route.kind for route in manifest.routes} == KINDS


@pytest.mark.parametrize("block", find_blocks("toml"), ids=lambda block: block.text.splitlines()[1])
def test_settings_are_valid(tmp_path: Path, block: Block) -> None:
    write_files(tmp_path, {"pyproject.toml": block.text})
    loaded = load_config(tmp_path, mode="production", overrides={}, environ={})
    assert loaded.places


def test_http_route_answers(server: Server) -> None:
    assert httpx.get(f"{server.url}/api/users/1").json() == {"name": "Ada"}
    missing = httpx.get(f"{server.url}/api/users/2")
    assert (missing.status_code, missing.json()["message"]) == (404, "no such user")


def test_event_stream_counts_down(server: Server) -> None:
    with httpx.stream("GET", f"{server.url}/api/countdown") as stream:
        lines = stream.iter_lines()
        assert [next(lines), next(lines), next(lines)] == ["data: 10", "", "data: 9"]


def test_mounted_application_answers(server: Server) -> None:
    assert httpx.get(f"{server.url}/ping").json() == "pong"


@pytest.mark.anyio
async def test_chat_hears_its_members_and_the_announcement(server: Server) -> None:
    url = f"{server.socket_url}/api/chat"
    async with connect(url) as ada, connect(url) as bob:
        assert str(await ada.recv()).startswith("Welcome ")
        welcome = str(await bob.recv())
        await bob.send("hello")
        bob_id = welcome.removeprefix("Welcome ").removesuffix("!")
        assert await ada.recv() == f'{{"user":"{bob_id}","message":"hello"}}'
        async with httpx.AsyncClient() as client:
            response = await client.post(f"{server.url}/api/announce", json={"news": 1})
        assert response.status_code == 204
        assert (await ada.recv(), await bob.recv()) == ('{"news":1}', '{"news":1}')


def test_test_of_the_reader_passes(project: Path) -> None:
    (block,) = [block for block in find_blocks("python") if "nitro_py.testing" in block.text]
    assert "1 passed" in run_tests(project, block)


def test_first_two_commands_are_one_line_each() -> None:
    demo, tests = (block.text for block in find_blocks("sh")[:2])
    assert demo.count("\n") == tests.count("\n") == 1
    assert demo.rstrip().endswith(".venv/bin/nitropy build --preset asgi && .venv/bin/nitropy preview")
    assert tests.rstrip().endswith(".venv/bin/python -m pytest -n 4")


def test_first_look_stands_beside_the_tests_and_takes_some_of_them() -> None:
    look = find_blocks("text")[0].text
    assert look.count("\n") == 1
    command, *arguments = shlex.split(look)
    assert (command, arguments[:2]) == (".venv/bin/python", ["-m", "pytest"])
    folders = [ROOT / argument for argument in arguments if argument.startswith("tests/")]
    assert folders
    assert [folder for folder in folders if not folder.is_dir()] == []


def test_table_of_commands_names_every_command() -> None:
    named = {re.sub(r" [A-Z].*", "", cells[0].strip("`")) for cells in find_table("command")}
    assert named == {f"nitropy {name}" for name in _commands()}


def test_every_command_has_help() -> None:
    for name in _commands():
        assert f"nitropy {name}" in _help(*name.split())


def test_settings_that_are_named_exist() -> None:
    sections = ("websocket", "sse", "http", "dev", "experimental")
    named = set(
        re.findall(rf"`((?:{'|'.join(sections)})\.[a-z_.]+)`", read_page() + read_page("docs/deployment.md"))
    )
    assert named >= {"websocket.allowed_origins", "websocket.max_message"}
    schema = find_models(ROOT, {}).json_schema
    for setting in named:
        section, key = setting.split(".", 1)
        reference = schema["properties"][section]["$ref"].rpartition("/")[2]
        assert key.split(".")[0] in schema["$defs"][reference]["properties"], setting


def test_file_names_of_the_table_are_scanned_as_it_says(tmp_path: Path) -> None:
    from nitro_py.build.scan import scan_handlers

    names = {cell.strip("`") for cells in find_table("in the file name") for cell in [cells[0]]}
    assert {"index.py", "[id].py", "(group)/"} <= names
    handlers = ["a/index.py", "u/[id].py", "f/[...slug].py", "g/[...].py", "(group)/x.py", "name.get.py", "_no.py"]
    write_files(tmp_path, {f"handlers/{name}": "" for name in handlers})
    scan = scan_handlers(tmp_path, "handlers", (), "production")
    assert {(route.path, route.methods) for route in scan.routes} == {
        ("/a", ()),
        ("/u/[id]", ()),
        ("/f/[...slug]", ()),
        ("/g/[...]", ()),
        ("/x", ()),
        ("/name", ("GET",)),
    }


def _help(*words: str) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("nitropy"), *words, "--help"], capture_output=True, text=True, check=True
    )
    return done.stdout


def _commands() -> list[str]:
    names = re.findall(r"^  ([a-z]+)  ", _help().partition("Commands:")[2], re.MULTILINE)
    assert names
    return [*sorted(name for name in names if name != "config"), "config schema"]
