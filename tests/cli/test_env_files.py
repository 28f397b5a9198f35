"""`.env` files where an app runs on this machine: `preview` of every preset, and what a build says."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.bundles import write_files
from tests.cli.commands import fail, run_nitropy, serve_project, succeed

SHOW = """
    import os

    from nitro_py import Event, define_handler, runtime_config

    NAMES = ("IN_FILE", "IN_BOTH", "IN_ENVIRONMENT", "UNKNOWN")


    @define_handler
    async def handler(event: Event) -> dict[str, object]:
        return {**{name: os.environ.get(name) for name in NAMES}, "url": runtime_config()["url"]}
"""
FILES = {
    "nitro.toml": "runtime_config.url = ''\n",
    "handlers/show.get.py": SHOW,
    ".env": """
        IN_FILE=file
        IN_BOTH=file
        IN_ENVIRONMENT=file
        NITRO_RUNTIME_CONFIG__URL=http://file
        PORT=0
        AWS_REGION=elsewhere
        """,
    ".env.local": "IN_BOTH=local\n",
}


@pytest.mark.parametrize("preset", ["asgi", "aws-lambda", "container"])
def test_preview_loads_the_files(tmp_path: Path, preset: str) -> None:
    root = write_files(tmp_path / "project", FILES)
    succeed(root, "build", "--preset", preset)
    with serve_project(root, "preview", environ={"IN_ENVIRONMENT": "environment"}) as server:
        assert httpx.get(f"{server.url}/show").json() == {
            "IN_FILE": "file",
            "IN_BOTH": "local",
            "IN_ENVIRONMENT": "environment",
            "UNKNOWN": None,
            "url": "http://file",
        }


def test_port_of_the_file_that_is_none(tmp_path: Path) -> None:
    root = write_files(tmp_path / "project", {**FILES, ".env": "A=1\nPORT=http\n"})
    succeed(root, "build")
    assert fail(root, "preview") == (
        "`PORT` is no port: expected a number, got `http`.\n"
        "  at .env:2\n"
        "  hint: Set `PORT=3000`, for example, or give `--port`.\n"
    )


def test_variable_that_is_read_while_a_handler_is_imported(tmp_path: Path) -> None:
    handler = "import os\n\nDATABASE = os.environ['DATABASE_URL']\n"
    root = write_files(tmp_path / "project", {"handlers/a.get.py": handler, ".env": "DATABASE_URL=sqlite:///x"})
    assert fail(root, "check") == (
        "`handlers/a.get.py` reads the variable `DATABASE_URL` while it is imported, and that is not set.\n"
        "  at handlers/a.get.py:3\n"
        "  hint: Set it in the environment, or read it in a handler or a plugin, once the app runs. "
        "`.env` counts for `nitropy dev`, `nitropy preview` and tests, and not for a build.\n"
    )


def test_unused_reference_is_a_warning_of_the_preview(tmp_path: Path) -> None:
    root = write_files(tmp_path / "project", {**FILES, ".env": "PORT=wrong${X}\n"})
    succeed(root, "build")
    done = run_nitropy(root, "preview")
    assert done.returncode == 2
    assert "warning: .env:1 names `${X}`, which nothing above it sets: replaced by nothing.\n" in done.stderr
