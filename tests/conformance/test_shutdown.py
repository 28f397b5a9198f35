"""The graceful stop: sockets closed with 1001, streams ended, plugins stopped last."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nitro_py.testing.answers import Closed
from nitro_py.testing.conformance import ServerTarget, Stream
from nitro_py.testing.conformance.suite.steps import ask, do, make_key, open_script, reach
from tests.bundles import Server

pytestmark = pytest.mark.anyio


async def count(stream: Stream) -> int:
    """Read a stream to its end, and return the number of its events."""
    return len([event async for event in stream.events()])


async def test_stop_says_goodbye_to_everybody(own_server: Server, journal: Path) -> None:
    """Check W8 of the contract."""
    target = ServerTarget(own_server.url)
    idle, busy, source, later = (make_key() for _ in range(4))
    async with (
        open_script(target, idle) as quiet,
        open_script(target, busy) as working,
        target.stream("GET", f"/streaming/source/{source}") as endless,
        target.stream("GET", f"/topics_sse/{make_key()}") as stream,
    ):
        await ask(quiet, "state")
        assert (await anext(stream.events())).data == "subscribed"
        await do(working, "hold", until="go on")
        await reach(target, busy, "holding")
        assert (await target.request("POST", f"/later/{later}")).status == 200
        reading = asyncio.create_task(count(endless))
        stopping = asyncio.create_task(asyncio.to_thread(own_server.stop))
        assert await quiet.wait_closed() == Closed(1001, "The server stops.")
        assert await working.wait_closed() == Closed(1001, "The server stops.")
        # The end is a clean one: a broken connection would raise.
        assert [event async for event in stream.events()] == []
        assert await reading > 0
        with (journal / busy).open("a") as file:
            file.write("go on\n")
        # Long before the end of its time: a process that has to be ended is an error.
        await stopping

    def read(key: str) -> list[str]:
        return (journal / key).read_text().splitlines()

    assert read(idle) == ["open begins", "open ends", "close 1001 The server stops."]
    # A stop cancels no running hook either.
    assert read(busy)[2:] == ["holding", "go on", "held", "close 1001 The server stops."]
    assert read(later) == ["answered", "worked"]
    assert len(read(source)) == 1
    assert read("plugins") == ["outer started", "inner started", "inner stopped", "outer stopped"]
    assert "Traceback" not in own_server.read_log()
