"""A bundle that is older than the last build, which failed, is not taken for a new one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx

from tests.bundles import write_files
from tests.cli.commands import HELLO, fail, make_project, run_nitropy, serve_project, succeed


def test_preview_after_a_failed_build(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    succeed(root, "build", "--preset", "asgi")
    info = root / ".output/nitro.json"
    os.utime(info, (time.time() - 300, time.time() - 300))
    write_files(root, {"handlers/api/hello.get.py": "def"})
    fail(root, "build", "--preset", "container")
    with serve_project(root, "preview", "--port", "0") as server:
        assert httpx.get(f"{server.url}/api/hello").json() == {"message": "hello"}
        log = server.read_log()
    assert (
        "The last build failed: this is the bundle of the one before, preset `asgi`, built 5 minutes ago." in log
    )
    write_files(root, {"handlers/api/hello.get.py": HELLO})
    succeed(root, "build", "--preset", "asgi")
    with serve_project(root, "preview", "--port", "0") as server:
        assert "The last build failed" not in server.read_log()


def test_failed_build_without_a_bundle(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", {"handlers/api/hello.get.py": "def"})
    fail(root, "build")
    assert "There is no bundle in `.output`" in run_nitropy(root, "preview").stderr
