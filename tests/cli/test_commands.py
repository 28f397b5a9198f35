"""What `build`, `check`, `routes` and `config schema` print, for people and for scripts."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from nitro_py import __version__
from nitro_py.build.config.load import find_models
from nitro_py.build.write import format_size
from nitro_py.cli.build import MAX_ROWS, list_emitted
from tests.bundles import clean_environment, write_files
from tests.cli.commands import NITROPY, make_project, run_nitropy, succeed

COMMANDS = [
    "init",
    "dev",
    "build",
    "preview",
    "deploy",
    "logs",
    "destroy",
    "routes",
    "check",
    "publish",
    "storage",
    "config",
]


def test_help_names_every_command(tmp_path: Path) -> None:
    shown = succeed(tmp_path)
    assert shown == succeed(tmp_path, "--help")
    listed = shown.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "] == COMMANDS


def test_version(tmp_path: Path) -> None:
    assert succeed(tmp_path, "--version") == f"nitropy {__version__}\n"


def test_build_prints_what_it_did(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    done = run_nitropy(root, "build")
    assert done.returncode == 0
    first, header, *rest = done.stdout.splitlines()
    assert first == "Preset `asgi` (the default), 3 routes"
    assert header.split() == ["file", "files", "size"]
    rows = {line.split()[0]: line.split()[1:] for line in rest[: rest.index("")]}
    size = format_size((root / ".output/server/manifest.json").stat().st_size)
    assert rows[".output/server/manifest.json"] == size.split()
    assert rows[".output/server/handlers/"][0] == "3"
    total = sum(file.stat().st_size for file in (root / ".output").rglob("*") if file.is_file())
    assert rows[".output/"][1:] == format_size(total).split()
    assert rest[rest.index("") + 1 :] == [
        "No declared dependencies were found: only what is imported ships.",
        "",
        "Run it:    nitropy preview",
        "       or: python .output/server",
    ]
    assert done.stderr.splitlines()[0] == "Scanning handlers ..."
    assert "\x1b" not in done.stdout + done.stderr


def test_build_prints_json(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    shown = json.loads(succeed(root, "build", "--json", "--mode", "development"))
    files = {
        file.relative_to(root / ".output").as_posix(): file.stat().st_size
        for file in (root / ".output").rglob("*")
        if file.is_file()
    }
    assert shown == {
        "preset": {"name": "asgi", "reason": "the default"},
        "mode": "development",
        "output": ".output",
        "routes": 3,
        "files": files,
        "bytes": sum(files.values()),
        "notes": ["No declared dependencies were found: only what is imported ships"],
        "commands": {"preview": "python .output/server", "deploy": None},
    }


@pytest.mark.parametrize(
    ("arguments", "environ", "reason"),
    [
        (["--preset", "asgi"], {"NITRO_PRESET": "nope"}, "set by the command line"),
        ([], {"NITRO_PRESET": "asgi"}, "set by `NITRO_PRESET`"),
        ([], {}, "set by `nitro.toml`"),
    ],
)
def test_says_why_a_preset_was_chosen(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], reason: str
) -> None:
    root = make_project(tmp_path, {"nitro.toml": 'preset = "asgi"\nexperimental.websocket = true\n'})
    shown = succeed(root, "check", *arguments, environ=environ)
    assert shown == f"All is well: 3 routes for the preset `asgi` ({reason}).\n"


def test_build_into_another_folder(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    shown = succeed(root, "build", "--output-dir", "my build")
    assert (root / "my build/nitro.json").is_file()
    assert not (root / ".output").exists()
    assert shown.splitlines()[-2:] == [
        "Run it:    nitropy preview --output-dir 'my build'",
        "       or: python 'my build/server'",
    ]


def test_check_writes_nothing(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    before = sorted(root.rglob("*"))
    assert json.loads(succeed(root, "check", "--json")) == {
        "ok": True,
        "preset": {"name": "asgi", "reason": "the default"},
        "routes": 3,
        "notes": ["No declared dependencies were found: only what is imported ships"],
    }
    assert sorted(root.rglob("*")) == before


def test_routes_are_a_table(tmp_path: Path) -> None:
    mounted = "from nitro_py import mount_asgi\n\n\nasync def app(*call): ...\n\n\nhandler = mount_asgi(app)\n"
    root = make_project(tmp_path, {"handlers/shop/[...].py": mounted})
    assert succeed(root, "routes").splitlines() == [
        "method  path         kind           file",
        "GET     /            http           handlers/index.get.py",
        "GET     /api/chat    websocket      handlers/api/chat.py",
        "GET     /api/hello   http           handlers/api/hello.get.py",
        "any     /shop/[...]  http, mounted  handlers/shop/[...].py",
    ]


def test_routes_print_json(tmp_path: Path) -> None:
    shown = json.loads(succeed(make_project(tmp_path), "routes", "--json"))
    assert [(route["methods"], route["path"], route["kind"], route["file"]) for route in shown] == [
        (["GET"], "/", "http", "handlers/index.get.py"),
        ([], "/api/chat", "websocket", "handlers/api/chat.py"),
        (["GET"], "/api/hello", "http", "handlers/api/hello.get.py"),
    ]


def test_routes_of_a_project_without_any(tmp_path: Path) -> None:
    root = write_files(tmp_path, {"handlers/_helper.py": ""})
    assert succeed(root, "routes") == "`handlers` has no routes.\n"
    assert json.loads(succeed(root, "routes", "--json")) == []


def test_schema(tmp_path: Path) -> None:
    shown = json.loads(succeed(tmp_path, "config", "schema"))
    assert shown == json.loads(json.dumps(find_models(tmp_path, {}).json_schema))
    # Those of the installed presets too.
    assert {"aws", "container", "websocket"} <= shown["properties"].keys()
    assert shown["$defs"]["AwsSettings"]["properties"]["memory"]["maximum"] == 10240


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [str(NITROPY), "check", "--preset", "nope"],
            cwd=root,
            env=clean_environment() | {"TERM": "xterm-256color", "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=follower,
            stderr=follower,
        )
        os.close(follower)
        shown = b""
        try:
            while piece := terminal.read(4096):
                shown += piece
        except OSError:
            pass  # Linux says so when the other end is closed.
        assert process.wait(60) == 2
    assert b"\x1b[1;31merror: \x1b[0m" in shown


def test_many_files_make_few_rows() -> None:
    sizes = {f"a/{number}.txt": 1 for number in range(200)} | {"b/c/d.txt": 5, "top.txt": 7}
    assert list_emitted("out", sizes) == [
        ("out/top.txt", "", "7 B"),
        ("out/a/", "200", "200 B"),
        ("out/b/", "1", "5 B"),
        ("out/", "202", "212 B"),
    ]
    assert len(list_emitted("out", dict(list(sizes.items())[:MAX_ROWS]))) == MAX_ROWS + 1


def test_body_with_a_status_is_told_before_it_runs(tmp_path: Path) -> None:
    route = (
        "from nitro_py import define_handler\n\n@define_handler\ndef handler(event):\n    return {'new': 1}, 201\n"
    )
    root = make_project(tmp_path, {"handlers/make.post.py": route})
    warning = (
        "handlers/make.post.py:5: this handler returns a tuple of a body and the status 201, which is answered "
        "with 500: set `event.response.status = 201` and return the body"
    )
    for command in ("check", "build"):
        assert f"warning: {warning}.\n" in run_nitropy(root, command).stderr
        assert warning in json.loads(succeed(root, command, "--json"))["notes"]


def test_check_prints_the_notes_of_a_build(tmp_path: Path) -> None:
    done = run_nitropy(make_project(tmp_path), "check")
    assert done.stdout == "All is well: 3 routes for the preset `asgi` (the default).\n"
    assert "No declared dependencies were found: only what is imported ships.\n" in done.stderr


@pytest.mark.parametrize("arguments", [(), *((name,) for name in COMMANDS)], ids=" ".join)
def test_help_is_not_cut_off(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    shown = succeed(tmp_path, *arguments, "--help", environ={"COLUMNS": "80"})
    cut = [line for line in shown.splitlines() if line.endswith(("...", "…")) and "Usage:" not in line]
    assert cut == []
    assert max(map(len, shown.splitlines())) <= 80
