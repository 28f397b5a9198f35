"""`nitropy config show`: each setting, its value, and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nitro_py.build.config.load import find_models
from nitro_py.build.config.masking import mask
from tests.bundles import write_files
from tests.cli.commands import HELLO, fail, run_nitropy, succeed

FILES = {
    "nitro.toml": """
        websocket.max_queue = 99

        [runtime_config]
        api_url = "http://a"
        api_token = ""
        database = { url = "" }
        session_key = ""
        pool = 1
        jwt = ""

        [aws]
        memory = 256

        [development]
        sse.heartbeat = 3
        """,
    ".env": """
        NITRO_DEV__PORT=4000
        NITRO_RUNTIME_CONFIG__API_TOKEN=hidden
        NITRO_RUNTIME_CONFIG__DATABASE__URL=postgres://me:hidden@host/db
        NITRO_RUNTIME_CONFIG__SESSION_KEY=hidden
        NITRO_RUNTIME_CONFIG__POOL=7
        """,
    ".env.local": "NITRO_BACKPLANE_URL=redis://:hidden@broker:6379",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a project with settings in every place, and return its folder."""
    return write_files(tmp_path / "project", FILES)


def show(root: Path, *arguments: str, **environ: str) -> dict[str, tuple[str, str]]:
    """Return the rows that are printed: setting → value and source."""
    text = succeed(root, "config", "show", *arguments, environ=environ)
    assert "hidden" not in text
    head, rows = text.split("\n\n", 1)
    lines = rows.splitlines()
    columns = [lines[0].index(name) for name in ("setting", "value", "from")]
    # Every row is aligned with the head.
    assert all(line[column - 1] == " " for line in lines for column in columns[1:])
    assert ("`nitropy dev`" in head) == ("production" not in arguments)
    return {
        line[: columns[1]].strip(): (line[columns[1] : columns[2]].strip(), line[columns[2] :])
        for line in lines[1:]
    }


def test_each_value_has_its_place(root: Path) -> None:
    rows = show(root, NITRO_LOG="json")
    assert {name: row for name, row in rows.items() if row[1] != "default"} == {
        "websocket.max_queue": ("99", "nitro.toml:1"),
        "runtime_config.api_url": ('"http://a"', "nitro.toml:4"),
        "runtime_config.api_token": ('"***"', ".env:2"),
        "runtime_config.database.url": ('"***"', ".env:3"),
        "runtime_config.session_key": ('"***"', ".env:4"),
        "runtime_config.pool": ('"***"', ".env:5"),
        "runtime_config.jwt": ('""', "nitro.toml:9"),
        "aws.memory": ("256", "nitro.toml:12"),
        "sse.heartbeat": ("3.0", "nitro.toml:15"),
        "dev.port": ("4000", ".env:1"),
        "backplane_url": ('"redis://***@broker:6379"', ".env.local:1"),
        "log.format": ('"json"', "environment NITRO_LOG"),
    }
    assert rows["dev.host"] == ('"127.0.0.1"', "default")
    assert rows["dev.hmr.port"] == ("-", "default")


def test_every_setting_is_listed(root: Path) -> None:
    names = {".".join(path) for path in find_models(root, {}).leaves}
    tables = {name.partition(".")[0] for name in show(root)}
    assert names - {*show(root)} == {"features.websocket", "runtime_config"}
    assert {"aws", "container"} <= tables


def test_build_reads_no_file(root: Path) -> None:
    rows = show(root, "--mode", "production", NITRO_BACKPLANE_URL="redis://:hidden@other")
    assert rows["dev.port"] == ("3000", "default")
    assert rows["sse.heartbeat"] == ("15.0", "default")
    assert rows["runtime_config.api_token"] == ('""', "nitro.toml:5")
    # A build does not read it, either: it is for the bundle that runs.
    assert rows["backplane_url"] == ('""', "default")


def test_defaults_are_those_of_the_mode(root: Path) -> None:
    rows = show(root)
    assert rows["server.block_warning"] == ("0.2", "default")
    assert rows["log.level"] == ('"info"', "default")
    rows = show(root, "--mode", "production")
    assert rows["server.block_warning"] == ("1.0", "default")
    assert rows["log.level"] == ("-", "default")


def test_each_logger_has_its_row(root: Path) -> None:
    assert show(root)["log.levels"] == ("{}", "default")
    write_files(root, {"nitro.toml": '[log]\nlevel = "error"\n[log.levels]\n"shop.prices" = "debug"\n'})
    rows = show(root, NITRO_LOG__LEVELS__SQLALCHEMY__ENGINE="info")
    assert rows["log.level"] == ('"error"', "nitro.toml:2")
    assert rows['log.levels."shop.prices"'] == ('"debug"', "nitro.toml:4")
    assert rows['log.levels."sqlalchemy.engine"'] == (
        '"info"',
        "environment NITRO_LOG__LEVELS__SQLALCHEMY__ENGINE",
    )


def test_preset_of_the_command_line(root: Path) -> None:
    rows = show(root, "--preset", "container")
    assert rows["preset"] == ('"container"', "command line")
    assert rows["container.image"] == ('"nitro-app:latest"', "default")
    # What is set is shown, whatever preset it is for.
    assert rows["aws.memory"] == ("256", "nitro.toml:12")
    assert "container.image" not in show(root, "--preset", "asgi")
    assert "Unknown preset `contaner`" in fail(root, "config", "show", "--preset", "contaner")


def test_pyproject_has_lines_too(tmp_path: Path) -> None:
    root = write_files(tmp_path / "project", {"pyproject.toml": "[tool.nitropy]\nfeatures.websocket = true\n"})
    rows = show(root)
    assert rows["features.websocket"] == ("true", "pyproject.toml:2")


def test_json_is_for_scripts(root: Path) -> None:
    text = succeed(root, "config", "show", "--json")
    assert "hidden" not in text
    rows = {row["setting"]: row for row in json.loads(text)}
    assert rows["dev.port"] == {
        "setting": "dev.port",
        "value": 4000,
        "source": ".env:1",
        "file": ".env",
        "line": 1,
        "variable": "NITRO_DEV__PORT",
    }
    assert rows["runtime_config.api_token"]["value"] == "***"
    assert rows["runtime_config.session_key"]["value"] == "***"


def test_app_value_of_the_environment_is_masked_whatever_its_name(root: Path) -> None:
    rows = show(root, NITRO_RUNTIME_CONFIG__API_URL="http://hidden", NITRO_RUNTIME_CONFIG__JWT="hidden")
    assert rows["runtime_config.api_url"] == ('"***"', "environment NITRO_RUNTIME_CONFIG__API_URL")
    assert rows["runtime_config.jwt"] == ('"***"', "environment NITRO_RUNTIME_CONFIG__JWT")


@pytest.mark.parametrize("name", ["session_key", "jwt"])
def test_possible_secret_in_the_file_is_masked_and_warned_of(tmp_path: Path, name: str) -> None:
    files = {"nitro.toml": f"[runtime_config]\n{name} = 'hidden'\n", "handlers/a.py": HELLO}
    root = write_files(tmp_path / "project", files)
    assert show(root)[f"runtime_config.{name}"] == ('"***"', "nitro.toml:2")
    warning = (
        f"`runtime_config.{name}` (nitro.toml:2) may be a secret, and its value travels in the bundle. "
        f'If it is one, leave it `""`, and '
        f"set `NITRO_RUNTIME_CONFIG__{name.upper()}` in `.env` and where the bundle runs."
    )
    for command in ("check", "build"):
        done = run_nitropy(root, command)
        assert done.returncode == 0, done.stderr
        assert warning in " ".join(done.stderr.split())
        assert "hidden" not in done.stderr + done.stdout


def test_wrong_configuration_is_refused(root: Path) -> None:
    write_files(root, {".env": "NITRO_DEV__PORT=x"})
    assert "at .env:1" in fail(root, "config", "show")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("url", "redis://me:pa/s@s@host/0", "redis://***@host/0"),
        ("url", "nats://token@host", "nats://***@host"),
        ("url", "https://host/?password=x&a=1", "https://host/?password=***&a=1"),
        ("url", "https://host/a@b.html", "https://***@b.html"),
        ("api_key", "x", "***"),
        ("session_key", "x", "***"),
        ("key", "x", "***"),
        ("jwt", "x", "***"),
        ("Client-Secret", "x", "***"),
        ("text", "AKIAIOSFODNN7EXAMPLE", "***"),
        ("nested", {"password": "x", "list": ["redis://:x@h"]}, {"password": "***", "list": ["redis://***@h"]}),
        ("api_token", "", ""),
        ("count", 3, 3),
        ("text", "plain", "plain"),
    ],
)
def test_secrets_are_masked(name: str, value: object, shown: object) -> None:
    assert mask(value, name) == shown  # type: ignore[arg-type]
