"""Idle clients."""

from __future__ import annotations

import asyncio

import pytest

from nitro_py.server.websocket.frames import CLOSE, FIN, PING, PONG, TEXT
from nitro_py.websocket import CloseDetails
from tests.server.websocket.raw import (
    open_socket,
    serve,
)
from tests.server.websocket.recorder import Recorder

pytestmark = pytest.mark.anyio

# Longer than a busy machine may stop this process for, which would look like a client that is silent, in seconds.
INTERVAL = 0.8


async def test_idle_client_is_pinged_and_dropped_when_it_does_not_answer() -> None:
    app = Recorder()
    async with serve(app, ws_ping_interval=INTERVAL) as port, open_socket(port) as (client, _):
        assert await client.read_frame() == (FIN | PING, b"")
        assert app.lost_with == []
        first, payload = await client.read_frame()
        assert (first, int.from_bytes(payload[:2])) == (FIN | CLOSE, 1011)
        assert await client.read_rest() == b""
        assert await app.end() == CloseDetails(1006)


async def test_client_that_answers_pings_or_talks_is_kept() -> None:
    app = Recorder()
    async with serve(app, ws_ping_interval=INTERVAL) as port, open_socket(port) as (client, _):
        for _ in range(3):
            assert await client.read_frame() == (FIN | PING, b"")
            client.send(FIN | PONG)
        for _ in range(20):
            client.send(FIN | TEXT, b"x")
            await asyncio.sleep(INTERVAL / 8)
        assert app.lost_with == []


async def test_client_that_is_not_read_is_not_blamed_for_silence() -> None:
    app = Recorder(room=1)
    async with serve(app, ws_ping_interval=0.05) as port, open_socket(port) as (client, _):
        client.send(FIN | TEXT, b"x")
        await app.reach(lambda: app.on_resume is not None)
        await asyncio.sleep(0.4)
        assert app.lost_with == []
