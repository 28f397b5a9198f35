"""What of a connection goes on, and what does not: after an answer began, after a loss, at a stop, in a crowd."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from typing import Any

import pytest

from nitro_py.runtime.counters import Counters
from nitro_py.runtime.settings import ServerSettings, Settings
from nitro_py.server.http import limits
from nitro_py.server.http.limits import (
    SPARE_CONNECTIONS,
    TOO_MANY,
    ConnectionGuard,
    ConnectionLimits,
    ServerLimits,
)
from tests.server.http.wire import HELLO, PATIENCE, echo, serve

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("complete", [False, True])
async def test_receive_after_the_answer_began_sends_no_100(complete: bool) -> None:
    kinds = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": not complete})
        receiving = asyncio.ensure_future(receive())
        await asyncio.sleep(0.05)
        if not complete:
            await send({"type": "http.response.body", "body": b" and ended"})
        kinds.append((await receiving)["type"])

    async with serve(app) as site, site.connect() as wire:
        wire.send("POST /x HTTP/1.1", "Host: x", "Content-Length: 4", "Expect: 100-continue")
        found = await wire.read_end()
        assert found.startswith(b"HTTP/1.1 200 ")
        assert found.count(b"HTTP/1.1 ") == 1
        assert (b"ended" in found) is not complete
    assert kinds == ["http.disconnect"]


async def test_100_comes_once_however_often_the_app_asks() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with serve(app) as site, site.connect() as wire:
        wire.send("POST /x HTTP/1.1", "Host: x", "Content-Length: 4", "Expect: 100-continue")
        assert (await wire.read()).status == 100
        for byte in b"body":
            wire.writer.write(bytes([byte]))
            await asyncio.sleep(0.01)
        assert (await wire.read()).status == 200
        # The client was heard out, so the connection goes on.
        wire.send(*HELLO)
        assert (await wire.read()).status == 200


@pytest.mark.parametrize("fields", [[], [(b"content-length", b"6")]], ids=["chunks", "length"])
@pytest.mark.parametrize("stops", [False, True])
async def test_connection_of_an_answer_that_began_before_a_stop_ends_with_it(
    stops: bool, fields: list[tuple[bytes, bytes]]
) -> None:
    go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await go.wait()
        await send({"type": "http.response.body", "body": b"def"})

    async with serve(app, timeout_keep_alive=3600) as site, site.connect() as wire:
        wire.send(*HELLO)
        await wire.reader.readuntil(b"abc")
        if stops:
            site.state.default_headers.append((b"connection", b"close"))
        go.set()
        await wire.reader.readuntil(b"def")
        if stops:
            assert (await wire.read_end()).strip() in (b"", b"0")
        else:
            wire.send(*HELLO)
            await wire.reader.readuntil(b"abcdef" if fields else b"def")


@pytest.mark.parametrize("answers", [False, True])
async def test_requests_behind_one_whose_connection_was_lost_are_never_run(answers: bool) -> None:
    seen = []
    release, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["query_string"])
        try:
            if answers:
                await release.wait()
                await echo(scope, receive, send)
                await send({"type": "http.response.start", "status": 200, "headers": []})
            else:
                assert (await receive())["type"] == "http.request"
                assert (await receive())["type"] == "http.disconnect"
        finally:
            ended.set()

    async with serve(app) as site, site.connect() as wire:
        for number in range(3):
            wire.send(f"GET /x?{number} HTTP/1.1", "Host: x")
        async with asyncio.timeout(PATIENCE):
            while not seen:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            (protocol,) = site.state.connections
            assert isinstance(protocol, type(site.make_protocol()))
            assert protocol._pipelined
            # As a tick does with a client that takes nothing: nothing is read that could tell that it left.
            protocol.transport.abort()
            while site.state.connections:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert not protocol._pipelined
            release.set()
            await ended.wait()
        await asyncio.sleep(0.05)
        assert seen == [b"0"]
        assert not site.state.tasks


async def test_state_is_each_requests_own() -> None:
    found = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(dict(scope["state"]))
        scope["state"]["user"] = scope["path"]
        await echo(scope, receive, send)

    async with serve(app) as site:
        for _ in range(2):
            async with site.connect() as wire:
                for path in ("/a", "/plain"):
                    wire.send(f"GET {path} HTTP/1.1", "Host: x")
                    assert (await wire.read()).status == 200
    assert found == [{}] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the state of a connection")
@pytest.mark.parametrize("resets", [False, True])
async def test_client_that_pipelines_and_leaves_is_noticed_while_nothing_is_read(resets: bool) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append((await receive())["type"])

    async with serve(app) as site, site.connect() as wire:
        for number in range(3):
            wire.send(f"GET /x?{number} HTTP/1.1", "Host: x")
        async with asyncio.timeout(PATIENCE):
            while not (site.state.connections and next(iter(site.state.connections))._pipelined):  # type: ignore[union-attr]  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            (protocol,) = site.state.connections
            assert isinstance(protocol, type(site.make_protocol()))
            protocol.tick()
            await asyncio.sleep(0.1)
            assert seen == []
            if resets:
                linger = struct.pack("ii", 1, 0)
                wire.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            wire.writer.close()
            while site.state.connections:
                protocol.tick()
                await asyncio.sleep(0.01)
    assert seen == ["http.disconnect"]


def limit(most: int, connections: int) -> tuple[bool, ConnectionGuard]:
    """Admit a connection, and return whether it stays, and its limits."""
    limiter = ConnectionGuard(ServerLimits(ConnectionLimits(max_connections=most)))
    return limiter.admit(connections), limiter


@pytest.mark.parametrize(
    ("connections", "stays", "is_served"),
    [
        (1, True, True),
        (5, True, True),
        (6, True, False),
        (5 + SPARE_CONNECTIONS, True, False),
        (6 + SPARE_CONNECTIONS, False, False),
    ],
)
def test_spare_connections_are_for_probes_alone(connections: int, stays: bool, is_served: bool) -> None:
    admitted, limiter = limit(5, connections)
    assert admitted is stays
    assert limiter.end_head(b"/_nitro/live", []) is None
    assert limiter.end_head(b"/_nitro/ready?x=1", []) is None
    for target in (
        b"/",
        b"/x/_nitro/live",
        b"/_nitrolive",
        b"/_nitro/live/x",
        b"/_nitro/other",
        b"/_nitro/metrics",
    ):
        assert limiter.end_head(target, []) == (None if is_served else TOO_MANY)


@pytest.mark.parametrize("measured", [False, True])
def test_metrics_have_a_spare_connection_where_they_are_served(measured: bool) -> None:
    settings = Settings(metrics=measured, server=ServerSettings(max_connections=5))
    limiter = ConnectionGuard(limits.make_server_limits(settings, Counters()))
    assert limiter.admit(6)
    assert limiter.end_head(b"/_nitro/metrics", []) == (None if measured else TOO_MANY)


class SurplusClient:
    """A connection above the limit."""

    def __init__(self, *, is_asking: bool = False) -> None:
        self.is_asking = is_asking
        self.dropped = False

    def drop_if_idle(self) -> bool:
        """Drop it, unless it asks for something."""
        self.dropped = not self.is_asking
        return self.dropped


def test_newcomer_takes_the_place_of_the_oldest_that_asks_for_nothing() -> None:
    limits = ServerLimits(ConnectionLimits(max_connections=5))
    asking, silent, left, last = SurplusClient(is_asking=True), SurplusClient(), SurplusClient(), SurplusClient()
    for client in (asking, left, silent):
        assert limits.admit_surplus(client, is_full=False)
    limits.forget_surplus(left)
    assert limits.admit_surplus(last, is_full=True)
    assert [client.dropped for client in (asking, silent, left, last)] == [False, True, False, False]
    last.is_asking = True
    assert not limits.admit_surplus(SurplusClient(), is_full=True)


def test_no_limit_refuses_nobody() -> None:
    admitted, limiter = limit(0, 1_000_000)
    assert (admitted, limiter.end_head(b"/", [])) == (True, None)


def test_limit_of_the_system_leaves_room_for_probes_and_for_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # As many as the process may ask for: then nothing is raised, and the number is known.
    most = soft if hard == resource.RLIM_INFINITY else min(hard, limits.MAX_FILES)
    monkeypatch.setattr(limits, "MAX_FILES", most)
    try:
        assert limits.count_files() == most - limits.OWN_FILES - SPARE_CONNECTIONS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
