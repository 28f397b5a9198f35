"""Clients that send more than their share: what others get of the loop meanwhile, and what is kept."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest

from nitro_py.server import backlog
from nitro_py.server.http.request_cycle import MAX_DROPPED
from nitro_py.server.websocket.frames import CONTINUATION, FIN, PING, RSV1, TEXT
from tests.server.http import wire
from tests.server.http.wire import answer, echo
from tests.server.websocket.raw import open_socket, serve, write_masked
from tests.server.websocket.recorder import Recorder

pytestmark = pytest.mark.anyio

# What a message, a fragment or a chunk costs in these tests, in seconds, and how many come at once.
COST = 0.0001
COUNT = 3000
# The most of them in a turn of the loop, though fragments come in groups of 32; all at once would be 3000.
MOST = 80


class Turns:
    """The most that happened within one turn of the event loop."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self.most = 0

    @asynccontextmanager
    async def watched(self) -> Any:
        """Watch until the end of the block."""
        task = asyncio.create_task(self._watch())
        try:
            yield self
        finally:
            task.cancel()

    async def _watch(self) -> None:
        before = self._count()
        while True:
            await asyncio.sleep(0)
            now = self._count()
            self.most = max(self.most, now - before)
            before = now


def spend() -> None:
    """Take the time that a hook would."""
    end = time.perf_counter() + COST
    while time.perf_counter() < end:
        pass


class BusyRecorder(Recorder):
    """An application whose hook takes some time for each message."""

    def feed(self, data: Any) -> bool:
        """Record a message, slowly."""
        spend()
        return super().feed(data)


def deflate(text: bytes) -> bytes:
    """Compress a message."""
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(text) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


async def test_tiny_messages_leave_others_their_turns_and_keep_their_order() -> None:
    app = BusyRecorder(room=COUNT + 1)
    async with serve(app) as port, open_socket(port) as (client, _):
        async with Turns(lambda: len(app.messages)).watched() as turns:
            client.writer.write(b"".join(write_masked(FIN | TEXT, b"%d" % number) for number in range(COUNT)))
            await app.reach(lambda: len(app.messages) == COUNT)
        client.send(FIN | TEXT, b"last")
        await app.reach(lambda: len(app.messages) > COUNT)
    assert app.messages == [*(str(number) for number in range(COUNT)), "last"]
    assert turns.most <= MOST


async def test_many_flooding_sockets_share_what_one_may_take() -> None:
    apps = [BusyRecorder(room=COUNT) for _ in range(10)]
    count = COUNT // 10

    def handled() -> int:
        return sum(len(app.messages) for app in apps)

    async with AsyncExitStack() as stack:
        clients = []
        for app in apps:
            port = await stack.enter_async_context(serve(app))
            clients.append((await stack.enter_async_context(open_socket(port)))[0])
        async with Turns(handled).watched() as turns:
            for client in clients:
                client.writer.write(write_masked(FIN | TEXT, b"x") * count)
            for app in apps:
                await app.reach(lambda app=app: len(app.messages) == count)  # type: ignore[misc]
    # Each reads for a slice when its bytes come; from then on all share a turn.
    assert turns.most <= 10 * 2 * backlog.SLICE / COST + MOST


@pytest.mark.parametrize("kind", ["fragments", "pings", "compressed"])
async def test_frames_of_every_kind_take_turns(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from nitro_py.server.websocket.parser import FrameParser

    read = 0
    take = FrameParser._take

    def count(self: FrameParser, first: int, payload: bytes) -> Any:
        nonlocal read
        read += 1
        spend()
        return take(self, first, payload)

    monkeypatch.setattr(FrameParser, "_take", count)
    head, piece = {
        "fragments": (write_masked(TEXT, b""), write_masked(CONTINUATION, b"")),
        "pings": (b"", write_masked(FIN | PING, b"")),
        "compressed": (b"", write_masked(FIN | RSV1 | TEXT, deflate(b"x" * 1000))),
    }[kind]
    app = Recorder(room=COUNT + 1)
    extension = ("Sec-WebSocket-Extensions: permessage-deflate",)
    async with (
        serve(app, ws_per_message_deflate=True) as port,
        open_socket(port, *extension) as (client, _),
        Turns(lambda: read).watched() as turns,
    ):
        client.writer.write(head + piece * COUNT)
        while read < COUNT:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert turns.most <= MOST


async def test_tiny_chunks_take_turns_and_come_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    from nitro_py.server.http.request_cycle import RequestCycle

    read = 0
    feed = RequestCycle.feed

    def count(self: RequestCycle, data: bytes) -> int:
        nonlocal read
        read += 1
        return feed(self, data)

    monkeypatch.setattr(RequestCycle, "feed", count)
    chunks = 40_000
    async with wire.serve(echo) as site, site.connect() as client, Turns(lambda: read).watched() as turns:
        client.send("POST /hello HTTP/1.1", "Host: x", "Transfer-Encoding: chunked")
        client.writer.write(b"1\r\nx\r\n" * chunks + b"0\r\n\r\n")
        found = json.loads((await client.read()).body)
    assert found["body"] == "x" * chunks
    assert turns.most <= chunks / 8


async def test_pipelined_requests_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0
    count = 5000

    async def app(scope: Any, receive: Any, send: Any) -> None:
        number = scope["query_string"]
        await answer(scope, send, 200, [(b"content-length", b"%d" % len(number))], number)

    from nitro_py.server.http import head, protocol

    make = head.make_scope

    def count_scopes(*arguments: Any) -> Any:
        nonlocal made
        made += 1
        return make(*arguments)

    monkeypatch.setattr(protocol, "make_scope", count_scopes)
    async with wire.serve(app) as site, site.connect() as client, Turns(lambda: made).watched() as turns:
        request = b"GET /hello?%d HTTP/1.1\r\nHost: x\r\n\r\n"
        client.writer.write(b"".join(request % number for number in range(count)))
        for number in range(count):
            assert (await client.read()).body == b"%d" % number
    # As many as stand in the smallest piece.
    assert turns.most <= 4096 / len(request) + 1


async def test_body_that_was_refused_is_not_read_for_ever() -> None:
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await answer(scope, send, 413, [(b"content-length", b"9")], b"too large")

    sent = 0
    async with wire.serve(refuse) as site, site.connect() as client:
        client.send("POST /hello HTTP/1.1", "Host: x", "Transfer-Encoding: chunked")
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        with suppress(ConnectionError):
            while sent < 8 * MAX_DROPPED and not client.writer.is_closing():
                client.writer.write(chunk)
                await asyncio.wait_for(client.writer.drain(), wire.PATIENCE)
                sent += len(chunk)
    assert sent < 4 * MAX_DROPPED


async def test_connection_goes_on_after_a_refused_body_that_ends() -> None:
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await answer(scope, send, 413, [(b"content-length", b"9")], b"too large")

    async with wire.serve(refuse) as site, site.connect() as client:
        for _ in range(2):
            client.send("POST /hello HTTP/1.1", "Host: x", f"Content-Length: {MAX_DROPPED // 4}")
            client.writer.write(bytes(MAX_DROPPED // 4))
            found = await client.read()
            assert (found.status, found.body) == (413, b"too large")
