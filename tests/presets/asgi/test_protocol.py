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
TIMEOUT = 1800 if FULL else 240


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Server]:
    """Run the bundle of an app that sends back what it receives."""
    with run_bundle(build_project(write_files(tmp_path, ECHO))) as server:
        yield server


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT)
def test_every_case_of_the_protocol_passes(echo: Server, tmp_path: Path) -> None:
    # In a process of its own, because it puts a `pkg_resources` that is none into its process.
    program = str(Path(sys.executable).with_name("kosoku"))
    selected = [] if FULL else [*(f"{group}.*" for group in GROUPS), *SELECTED]
    wanted = [word for case in selected for word in ("--include", case)]
    address = echo.url.removeprefix("http://")
    command = [program, "--parallelism", "4", *wanted, "--outdir", "reports", address]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    report = json.loads((tmp_path / "reports/index.json").read_text())
    (cases,) = report.values()
    passed = {"OK", "NON-STRICT", "INFORMATIONAL"}
    assert {name: case for name, case in cases.items() if {case["behavior"], case["behaviorClose"]} - passed} == {}
    assert len(cases) == CASES["full" if FULL else "quick"]
    assert {name.partition(".")[0] for name in cases} == {*GROUPS, "12", "13"}
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in echo.read_log()
