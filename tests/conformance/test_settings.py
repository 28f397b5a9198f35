"""What the contract leaves to settings: idle pings and origins, and what the log tells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nitro_py.testing import UpgradeRefused
from nitro_py.testing.conformance import JOURNAL, ServerTarget
from nitro_py.testing.conformance.suite.steps import (
    ask,
    do,
    make_key,
    open_script,
    reach,
    reach_close,
    write_journal,
)
from tests.bundles import Server, run_bundle
from tests.conformance.conftest import build_suite
from tests.conformance.raw import CLOSE, PING, open_raw

pytestmark = pytest.mark.anyio

# Long enough for a client that answers on a machine that is busy, in seconds.
IDLE = 3.0
SETTINGS = {
    "NITRO_WEBSOCKET__IDLE_TIMEOUT": str(IDLE),
    "NITRO_WEBSOCKET__ALLOWED_ORIGINS": '["https://app.example", "*.friends.example"]',
    "NITRO_WEBSOCKET__MAX_MESSAGE": "1000",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the suite's app, built with other settings."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / "journal").mkdir()
    output = build_suite(folder / "app", environ=SETTINGS)
    with run_bundle(output, environ={JOURNAL: str(folder / "journal")}) as server:
        yield server


@pytest.fixture(scope="module")
def target(server: Server) -> ServerTarget:
    """Return the running bundle."""
    return ServerTarget(server.url)


async def test_idle_peer_is_pinged_and_closed_when_it_does_not_answer(target: ServerTarget) -> None:
    """Check W17 of the contract."""
    key = make_key()
    started = time.monotonic()
    async with open_raw(target.url, f"/ws/script/{key}") as socket:
        frames = [await socket.read_frame()]
        assert time.monotonic() - started > IDLE * 0.8
        while (frame := await socket.read_frame()) is not None:
            frames.append(frame)
    # The default is 30 s.
    assert time.monotonic() - started < 25
    assert frames[0] is not None
    assert frames[0][0] == PING
    # Nothing but a goodbye comes after the ping.
    assert [frame[0] for frame in frames[1:] if frame is not None] in ([], [CLOSE])
    lines = await reach_close(target, key)
    assert [line.partition(" ")[0] for line in lines] == ["open", "open", "close"]


async def test_idle_peer_that_answers_stays(target: ServerTarget) -> None:
    """Check W17 of the contract."""
    async with open_script(target) as socket:
        await asyncio.sleep(3 * IDLE)
        assert (await ask(socket, "state"))["ready_state"] == 1


async def test_message_over_the_configured_size_closes_with_1009(target: ServerTarget) -> None:
    """Check W18 of the contract."""
    async with target.connect("/ws/echo") as socket:
        await socket.send("x" * 1000)
        assert len(await socket.receive()) == 1000
        await socket.send("x" * 1001)
        assert (await socket.wait_closed()).code == 1009


@pytest.mark.parametrize(
    "origin", ["https://app.example", "https://a.friends.example", "https://b.a.friends.example:8443"]
)
async def test_allowed_origin_passes(target: ServerTarget, origin: str) -> None:
    """Check W5 of the contract."""
    async with target.connect("/ws/echo", origin=origin) as socket:
        await socket.send("hello")
        assert await socket.receive_text() == "hello"


async def test_own_host_passes_beside_the_setting(server: Server, target: ServerTarget) -> None:
    """Check W5 of the contract."""
    async with target.connect("/ws/echo", origin=server.url) as socket:
        await socket.send("hello")
        assert await socket.receive_text() == "hello"


@pytest.mark.parametrize(
    "origin",
    [
        "http://app.example",
        "http://a.friends.example",
        "https://friends.example",
        "https://notfriends.example",
        "https://app.example:8443",
    ],
)
async def test_other_origin_is_refused_and_the_log_says_what_to_set(
    server: Server, target: ServerTarget, origin: str
) -> None:
    """Check W5 of the contract."""
    with pytest.raises(UpgradeRefused, match="403"):
        async with target.connect("/ws/echo", origin=origin):
            pass
    host = server.url.removeprefix("http://")
    message = f"from origin {origin} to host {host}: add the origin to `websocket.allowed_origins`"
    assert message in server.read_log()


async def test_failed_hook_is_logged_with_route_and_peer(server: Server, target: ServerTarget) -> None:
    """Check W9 of the contract."""
    key = make_key()
    async with open_script(target, key) as socket:
        id = (await ask(socket, "state"))["id"]
        await do(socket, "fail")
        await socket.wait_closed()
    await reach(target, key, "close 1011 Internal error")
    log = server.read_log()
    assert f"A hook of /ws/script/[key] failed for peer {id}." in log
    assert "RuntimeError: as told" in log


async def test_hook_that_sends_too_late_ends_quietly(server: Server, target: ServerTarget) -> None:
    """Check W10 of the contract."""
    key = make_key()
    async with open_script(target, key) as socket:
        id = (await ask(socket, "state"))["id"]
        await do(socket, "send_late", caught=False)
        await reach(target, key, "waiting")
    await write_journal(target, key, "gone")
    await reach(target, key, "close 1000")
    log = server.read_log()
    assert id not in log
    assert "PeerClosedError" not in log


async def test_development_lets_loopback_pages_in_and_tells_errors(tmp_path: Path, journal: Path) -> None:
    """Check W5 and H4 of the contract."""
    output = build_suite(tmp_path / "app", mode="development")
    with run_bundle(output, environ={JOURNAL: str(journal)}) as server:
        target = ServerTarget(server.url)
        assert (await target.request("GET", "/rules/mode")).json()["file"] == "rules/mode.get.dev.py"
        assert (await target.request("GET", "/rules/everywhere")).json()["file"] == "rules/everywhere.dev.py"
        problem = (await target.request("GET", "/fail/crash")).json()
        assert problem["message"] == "RuntimeError: secret detail"
        for origin in ("http://localhost:5173", "http://127.0.0.1:1", "http://[::1]:8080"):
            async with target.connect("/ws/echo", origin=origin) as socket:
                await socket.send("hello")
                assert await socket.receive_text() == "hello"
        with pytest.raises(UpgradeRefused, match="403"):
            async with target.connect("/ws/echo", origin="http://elsewhere.example"):
                pass
