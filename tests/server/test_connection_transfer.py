"""A connection goes over to another server between two requests, with nothing lost or repeated."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nitro_py.server.connection_transfer import SendDescriptor
from nitro_py.server.http.protocol import HttpProtocol
from nitro_py.server.workers.fair_listener import open_connection
from tests.server.http.wire import PATIENCE, Site, Wire, answer, serve

pytestmark = pytest.mark.anyio

ASK = ("GET / HTTP/1.1", "Host: x")


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run each test on both event loops, whose transports close in ways of their own."""
    return "asyncio", {"use_uvloop": request.param}


class Pair:
    """Two servers, of which the first hands its connections on to the second."""

    def __init__(self, old: Site, new: Site, release: asyncio.Event) -> None:
        self.old = old
        (self._first,) = old.state.connections
        self.release = release
        self._new = new
        self._tasks: list[asyncio.Task[None]] = []

    def transfer_when_idle(self, send: SendDescriptor | None = None) -> None:
        """Let the first server hand on what it has, and all that it gets to know later."""
        for connection in list(self.old.state.connections):
            assert isinstance(connection, HttpProtocol)
            connection.transfer_when_idle(send or self.send)

    def send(self, descriptor: int) -> bool:
        """Take a connection as another process would: by a descriptor of its own."""
        connection = socket.socket(fileno=os.dup(descriptor))
        self._tasks.append(asyncio.create_task(open_connection(self._new.make_protocol, connection)))
        return True

    async def read_up(self, wire: Wire) -> None:
        """Wait until the first server has read all that its client has sent."""
        own = wire.writer.get_extra_info("socket")
        assert isinstance(self._first, HttpProtocol)
        server = self._first.transport.get_extra_info("socket")

        def all_read() -> bool:
            unsent = wire.writer.transport.get_write_buffer_size() + count_bytes(own, termios.TIOCOUTQ)
            return unsent == count_bytes(server, termios.FIONREAD) == 0

        async with asyncio.timeout(PATIENCE):
            while not all_read():  # noqa: ASYNC110 - the system tells nobody
                await asyncio.sleep(0.01)
        # What the loop has read, it may still have to hand on.
        await asyncio.sleep(0.01)

    async def gone(self) -> None:
        """Wait until the first server has no connection left."""
        async with asyncio.timeout(PATIENCE):
            while self.old.state.connections:  # noqa: ASYNC110 - uvicorn's own set sends no event
                await asyncio.sleep(0.01)


def count_bytes(connection: Any, kind: int) -> int:
    """Return how many bytes of a connection the system holds, read or unsent."""
    counted = fcntl.ioctl(connection.fileno(), kind, bytes(4))
    return int.from_bytes(counted, sys.byteorder)


@asynccontextmanager
async def serve_pair(size: int = 1) -> AsyncIterator[tuple[Pair, Wire]]:
    """Run the two, and a client of the first; it answers `/wait` once it is released."""
    release = asyncio.Event()

    async def old(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            await release.wait()
        await answer(scope, send, 200, [(b"content-length", b"%d" % (3 * size))], b"old" * size)

    async def new(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        content = json.dumps({"client": scope["client"], "body": body.decode()}).encode()
        await answer(scope, send, 200, [(b"content-length", b"%d" % len(content))], content)

    async with serve(old) as first, serve(new) as second, first.connect() as wire:
        async with asyncio.timeout(PATIENCE):
            while not first.state.connections:  # noqa: ASYNC110 - uvicorn's own set sends no event
                await asyncio.sleep(0)
        yield Pair(first, second, release), wire


async def read_new(wire: Wire) -> Any:
    """Read an answer of the second server, which knows the client."""
    found = json.loads((await wire.read()).body)
    assert found["client"] == list(wire.writer.get_extra_info("sockname"))
    return found["body"]


async def test_idle_connection_goes_over_before_and_after_a_request() -> None:
    for asks_first in (False, True):
        async with serve_pair() as (pair, wire):
            if asks_first:
                wire.send(*ASK)
                assert (await wire.read()).body == b"old"
            pair.transfer_when_idle()
            await pair.gone()
            wire.send(*ASK)
            assert await read_new(wire) == ""


async def test_request_under_way_is_answered_first_and_does_not_end_the_connection() -> None:
    async with serve_pair() as (pair, wire):
        wire.send("GET /wait HTTP/1.1", "Host: x")
        await pair.read_up(wire)
        pair.transfer_when_idle()
        await asyncio.sleep(0.02)
        pair.release.set()
        found = await wire.read()
        assert (found.body, found.get("connection")) == (b"old", None)
        wire.send(*ASK)
        assert await read_new(wire) == ""
        await pair.gone()


async def test_what_was_read_is_answered_and_what_was_not_goes_over() -> None:
    async with serve_pair() as (pair, wire):
        wire.send("GET /wait HTTP/1.1", "Host: x")
        wire.send(*ASK)
        wire.writer.write(b"GET / HTTP/1.1\r\nHo")
        await pair.read_up(wire)
        pair.transfer_when_idle()
        pair.release.set()
        for _ in range(2):
            assert (await wire.read()).body == b"old"
        # Of the third, the first server has the beginning.
        wire.writer.write(b"st: x\r\n\r\n")
        assert (await wire.read()).body == b"old"
        wire.send(*ASK, "Content-Length: 4", body=b"body")
        assert await read_new(wire) == "body"
        await pair.gone()


async def test_half_a_head_and_half_a_body_are_waited_for() -> None:
    async with serve_pair() as (pair, wire):
        wire.writer.write(b"POST /")
        await pair.read_up(wire)
        pair.transfer_when_idle()
        await asyncio.sleep(0.02)
        wire.writer.write(b" HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo")
        # It is answered before its end has come.
        assert (await wire.read()).body == b"old"
        await asyncio.sleep(0.02)
        wire.writer.write(b"dy")
        wire.send(*ASK)
        first = await wire.read()
        # The last request may have been read with the rest of the body.
        assert first.body == b"old" or json.loads(first.body)["body"] == ""
        wire.send(*ASK)
        assert await read_new(wire) == ""
        await pair.gone()


async def test_answer_that_the_client_takes_slowly_goes_first() -> None:
    size = 3_000_000
    async with serve_pair(size) as (pair, wire):
        wire.send(*ASK)
        await pair.read_up(wire)
        # The client's own buffer is full, and so are the system's.
        pair.transfer_when_idle()
        await asyncio.sleep(0.05)
        assert pair.old.state.connections
        wire.send(*ASK)
        assert (await wire.read()).body == b"old" * size
        assert await read_new(wire) == ""


async def test_connection_that_nobody_has_room_for_is_offered_again() -> None:
    refusals = iter([False, False, True])

    async with serve_pair() as (pair, wire):
        pair.transfer_when_idle(lambda descriptor: next(refusals) and pair.send(descriptor))
        wire.send(*ASK)
        assert await read_new(wire) == ""
        assert list(refusals) == []


async def test_client_that_leaves_meanwhile_is_forgotten() -> None:
    async with serve_pair() as (pair, wire):
        wire.send("GET /wait HTTP/1.1", "Host: x")
        await pair.read_up(wire)
        pair.transfer_when_idle()
        wire.writer.close()
        await pair.gone()
        pair.release.set()
