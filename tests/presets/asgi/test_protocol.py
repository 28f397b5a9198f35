"""The WebSocket protocol: the Autobahn test suite's cases, run by kosoku against a built bundle.

Groups 12 and 13, compression, take most of ten minutes: some of their cases run by default, and all 517 cases with
`NITRO_AUTOBAHN=full` in the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import Server, build_project, run_bundle, write_files

ECHO = {
    # Group 9 sends messages of 16 MiB.
    "nitro.toml": """
        [experimental]
        websocket = true
        [websocket]
        compression = true
        max_message = 33554432
        buffer_limit = 67108864
        """,
    "handlers/index.py": """
        from nitro_py import Message, Peer, define_websocket_handler
        from nitro_py.server.websocket import deflate

        # kosoku 0.1 fails on a text that comes back uncompressed where compression was agreed on, though RFC 7692,
        # section 6, leaves that to each message.
        deflate.COMPRESS_FROM = 0

        async def message(peer: Peer, message: Message) -> None:
            await peer.send(message.data)

        handler = define_websocket_handler(message=message)
        """,
}
FULL = os.environ.get("NITRO_AUTOBAHN") == "full"
GROUPS = ["1", "2", "3", "4", "5", "6", "7", "9", "10"]
# How many cases each selection has.
CASES = {"full": 517, "quick": 320}
# Compressed messages of each kind of data and with each set of parameters, in sizes from 16 bytes to 128 kB.
SELECTED = [
    "12.1.3",
    "12.2.7",
    "12.3.10",
    "12.4.18",
    "12.5.2",
    *(f"13.{kind}.{size}" for kind in range(1, 8) for size in (2, 7)),
]
TIMEOUT = 1800 if FULL else 600
# The least time that kosoku gives to a case which may take long, in milliseconds.
SHORTEST_LIMIT = 10_000


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Server]:
    """Run the bundle of an app that sends back what it receives."""
    with run_bundle(build_project(write_files(tmp_path, ECHO))) as server:
        yield server


def run_cases(server: Server, folder: Path, selected: list[str], parallelism: int) -> dict[str, dict[str, Any]]:
    """Run some cases, all if none is selected, and return their reports by name."""
    # In a process of its own, because it puts a `pkg_resources` that is none into its process.
    program = str(Path(sys.executable).with_name("kosoku"))
    wanted = [word for case in selected for word in ("--include", case)]
    address = server.url.removeprefix("http://")
    command = [program, "--parallelism", str(parallelism), *wanted, "--outdir", str(folder), address]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=False)
    report = json.loads((folder / "index.json").read_text())
    cases: dict[str, dict[str, Any]]
    (cases,) = report.values()
    assert done.returncode == 0 or find_failed(cases), done.stderr
    return cases


def find_failed(cases: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the cases that did not pass."""
    passed = {"OK", "NON-STRICT", "INFORMATIONAL"}
    return {name: case for name, case in cases.items() if {case["behavior"], case["behaviorClose"]} - passed}


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT)
def test_every_case_of_the_protocol_passes(echo: Server, tmp_path: Path) -> None:
    selected = [] if FULL else [*(f"{group}.*" for group in GROUPS), *SELECTED]
    cases = run_cases(echo, tmp_path / "reports", selected, parallelism=4)
    # A busy machine may need all the time that a case has: such a case is run again, alone.
    late = [name for name, case in find_failed(cases).items() if case["duration"] >= SHORTEST_LIMIT]
    if late:
        cases |= run_cases(echo, tmp_path / "again", late, parallelism=1)
    assert find_failed(cases) == {}
    assert len(cases) == CASES["full" if FULL else "quick"]
    assert {name.partition(".")[0] for name in cases} == {*GROUPS, "12", "13"}
    assert "Traceback" not in echo.read_log()
