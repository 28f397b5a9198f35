"""What `init` writes works as it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from nitro_py.cli.init import read_templates
from tests.bundles import clean_environment
from tests.cli.commands import fail, serve_project, succeed

FILES = [
    ".gitignore",
    "README.md",
    "handlers/api/chat.get.py",
    "handlers/api/clock.py",
    "handlers/api/hello.get.py",
    "handlers/api/ws/_names.py",
    "handlers/api/ws/chat.py",
    "nitro.toml",
    "public/index.html",
    "requirements.txt",
    "tests/test_chat.py",
]


def list_files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.mark.slow
def test_writes_an_app_that_runs(tmp_path: Path) -> None:
    shown = succeed(tmp_path, "init", "my app")
    root = tmp_path / "my app"
    assert list_files(root) == FILES
    assert shown.endswith("\nTry it: cd 'my app' && nitropy dev\n")
    assert ".nitro/\n" in (root / ".gitignore").read_text()
    succeed(root, "build")
    assert [(route["path"], route["kind"]) for route in json.loads(succeed(root, "routes", "--json"))] == [
        ("/api/chat", "http"),
        ("/api/clock", "sse"),
        ("/api/hello", "http"),
        ("/api/ws/chat", "websocket"),
    ]
    with serve_project(root, "preview", "--port", "0") as server:
        page = httpx.get(server.url)
        assert page.headers["content-type"].startswith("text/html")
        assert re.findall(r'"(/api/[\w/]+)"', page.text) == ["/api/chat", "/api/clock"]
        assert httpx.get(f"{server.url}/api/chat").json() == {"url": "/api/ws/chat"}
        assert httpx.get(f"{server.url}/api/hello").json() == {"message": "hello"}
        with httpx.stream("GET", f"{server.url}/api/clock") as clock:
            assert re.fullmatch(r"data: \d\d:\d\d:\d\d", next(clock.iter_lines()))
        with connect(f"{server.socket_url}/api/ws/chat") as socket:
            welcome = json.loads(socket.recv(60))["message"]
            found = re.fullmatch(r"Welcome ([A-Z][a-z]+ [A-Z][a-z]+)!", welcome)
            assert found is not None, welcome
            socket.send("hi")
            assert json.loads(socket.recv(60)) == {"user": found[1], "message": "hi"}


@pytest.mark.slow
def test_tests_of_the_app_pass(tmp_path: Path) -> None:
    succeed(tmp_path, "init", ".")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    expected = "`.` is not empty: it has `thesis.txt`.\n  hint: Name a new or empty folder; nothing was written.\n"
    assert fail(tmp_path, "init", ".") == expected
    assert fail(tmp_path, "init", "thesis.txt").startswith("`thesis.txt` is a file.")
    assert fail(tmp_path, "init", "thesis.txt/app").startswith("`thesis.txt/app` cannot be written: ")
    assert list_files(tmp_path) == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_commands_in_the_readme_exist(tmp_path: Path) -> None:
    readme = dict(read_templates())["README.md"].decode()
    commands = re.findall(r"nitropy (\w+)", readme)
    assert commands == ["dev", "build", "preview"]
    for command in commands:
        assert succeed(tmp_path, command, "--help").startswith(f"Usage: nitropy {command}")
