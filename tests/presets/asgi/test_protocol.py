"""The WebSocket protocol: the Autobahn test suite's cases, run by kosoku against a built bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kosoku import FailureError, run_fuzzingclient

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


@pytest.mark.anyio
async def test_every_case_of_the_protocol_passes(echo: Server) -> None:
    failures: list[str] = []
    try:
        results = await run_fuzzingclient(echo.socket_url, exclude_cases=LEFT_OUT, concurrency=4)
    except FailureError as error:
        results = []
        failures = [
            f"{case.case_id}: {case.behavior.value}, close {case.behavior_close.value}: {case.result} "
            f"{case.result_close}"
            for case in error.results
            if not case.passed
        ]
    assert failures == []
    assert len(results) == CASES
    assert {case.case_id.partition(".")[0] for case in results} == {"1", "2", "3", "4", "5", "6", "7", "9", "10"}
    assert "Traceback" not in echo.read_log()
