"""The WebSocket protocol: the Autobahn test suite's cases, run by kosoku against a built bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import Server, build_project, run_bundle, write_files

ECHO = {
    # Group 9 sends messages of 16 MiB.
    "nitro.toml": """
        [experimental]
        websocket = true
        [websocket]
        max_message = 33554432
        buffer_limit = 67108864
        """,
    "handlers/index.py": """
        from nitro_py import Message, Peer, define_websocket_handler

        async def message(peer: Peer, message: Message) -> None:
            await peer.send(message.data)

        handler = define_websocket_handler(message=message)
        """,
}
# Compression, which takes minutes and is off by default.
LEFT_OUT = ("12.*", "13.*")
CASES = 301


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Server]:
    """Runs the bundle of an app that sends back what it receives."""
    with run_bundle(build_project(write_files(tmp_path, ECHO))) as server:
        yield server


def test_every_case_of_the_protocol_passes(echo: Server, tmp_path: Path) -> None:
    # In a process of its own, because it puts a `pkg_resources` that is none into its process.
    program = str(Path(sys.executable).with_name("kosoku"))
    left_out = [word for case in LEFT_OUT for word in ("--exclude", case)]
    address = echo.url.removeprefix("http://")
    command = [program, "--parallelism", "4", *left_out, "--outdir", "reports", address]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    report = json.loads((tmp_path / "reports/index.json").read_text())
    (cases,) = report.values()
    passed = {"OK", "NON-STRICT", "INFORMATIONAL"}
    assert {name: case for name, case in cases.items() if {case["behavior"], case["behaviorClose"]} - passed} == {}
    assert len(cases) == CASES
    assert {name.partition(".")[0] for name in cases} == {"1", "2", "3", "4", "5", "6", "7", "9", "10"}
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in echo.read_log()
