"""The same bundle keeps the contract on other ASGI servers, save for what only a server of our own can do."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from nitro_py.capabilities import CAPABILITIES, Capability
from nitro_py.testing.conformance import JOURNAL, ServerTarget
from nitro_py.testing.conformance.suite import Conformance
from tests.bundles import PATIENCE, run_server
from tests.ports import find_port

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class AnyServer:
    """How a server is started, and what it keeps from an app.

    Args:
        name: The module that runs it.
        arguments: Its command line, before the app's name; `{port}` stands for the port.
        announcement: What it prints before its URL.
        lacking: What no app can do on it.
    """

    name: str
    arguments: tuple[str, ...]
    announcement: str
    lacking: frozenset[Capability] = frozenset()


SERVERS = (
    AnyServer(
        "granian",
        ("--interface=asgi", f"--host={HOST}", "--port={port}"),
        "Listening at: ",
        lacking=frozenset({"websocket.upgrade-headers"}),
    ),
    AnyServer("hypercorn", (f"--bind={HOST}:{{port}}",), "Running on "),
    AnyServer("uvicorn", (f"--host={HOST}", "--port={port}"), "Uvicorn running on "),
)


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: server.name)
def target(
    request: pytest.FixtureRequest, suite_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerTarget]:
    """Run the suite's bundle on another server."""
    server: AnyServer = request.param
    folder = tmp_path_factory.mktemp(server.name)
    port = find_port()
    arguments = [part.format(port=port) for part in server.arguments]
    with run_server(
        [sys.executable, "-m", server.name, *arguments, "nitro_server:app"],
        log=folder / "log",
        environ={JOURNAL: str(folder)},
        cwd=suite_bundle / "server",
        announcement=server.announcement,
    ):
        target = ServerTarget(f"http://{HOST}:{port}", capabilities=frozenset(CAPABILITIES) - server.lacking)
        wait_for_health(target.url)
        yield target


def wait_for_health(url: str) -> None:
    """Wait until the app answers: a server may announce itself before that."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/_nitro/health").status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError(f"Nothing answers at {url}.")


@pytest.mark.slow
class TestOtherServer(Conformance):
    """The suite, on each server."""

    # granian tells an app the client's code without its reason, hypercorn neither, and both call a lost
    # connection a closed one or the other way round.
    test_code_of_the_client_reaches_the_close_hook = None  # type: ignore[assignment]
    test_connection_that_was_lost_closes_with_1006 = None  # type: ignore[assignment]
