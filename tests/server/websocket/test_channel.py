"""The writing half: clients that are slow, and messages for many."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import pytest

from nitro_py.errors import PeerClosedError
from nitro_py.event import Receive, Scope, Send
from nitro_py.runtime.contracts import Broadcast, ReadyState
from nitro_py.server.http.protocol import HttpProtocol
from nitro_py.server.websocket.frames import CLOSE, FIN, PING, RSV1, TEXT
from nitro_py.websocket import CloseDetails
from tests.server.websocket.raw import PATIENCE, RawClient, open_socket, serve, write_head, write_masked
from tests.server.websocket.recorder import Recorder, poll

pytestmark = pytest.mark.anyio

SIZE = 50_000
LIMIT = 4 * SIZE
# More than the buffers of both ends may hold between them.
MOST = 1000


def number(index: int) -> str:
    """Return a large message that says which it is."""
    return f"{index} ".ljust(SIZE, "x")


def stall(client: RawClient) -> None:
    """Let a client read nothing from now on."""
    transport: Any = client.writer.transport
    transport.pause_reading()


async def fill(app: Recorder) -> int:
    """Deliver until frames wait for a client that does not read, and return how many went out."""
    for index in range(MOST):
        app.channel.deliver(Broadcast(number(index)))
        await asyncio.sleep(0)
        if app.channel.buffered_amount > SIZE:
            return index + 1
    raise AssertionError(f"{MOST} messages went out to a client that reads nothing.")


async def read_numbers(client: RawClient, count: int) -> None:
    """Read so many messages, which must come in order."""
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    for index in range(count):
        first, payload = await client.read_frame()
        assert (first, payload[:10].split()[0]) == (FIN | TEXT, str(index).encode())


async def test_what_a_slow_client_missed_comes_in_order() -> None:
    app = Recorder(limit=LIMIT)
    async with serve(app) as port, open_socket(port) as (client, _):
        stall(client)
        count = await fill(app)
        draining = asyncio.create_task(app.channel.wait_for_drain())
        await asyncio.sleep(0.02)
        assert not draining.done()
        await read_numbers(client, count)
        await asyncio.wait_for(draining, PATIENCE)
        assert (app.channel.buffered_amount, app.counters.messages_sent) == (0, count)
        # From now on frames go out at once again.
        assert app.channel.send("on time") is None
        assert await client.read_frame() == (FIN | TEXT, b"on time")


async def test_slow_client_past_the_limit_is_closed_with_1013_and_its_backlog_dropped() -> None:
    app = Recorder(limit=LIMIT)
    async with serve(app) as port, open_socket(port) as (client, _):
        stall(client)
        count = await fill(app)
        while app.channel.ready_state is ReadyState.OPEN:
            app.channel.deliver(Broadcast(number(count)))
            count += 1
            assert app.channel.buffered_amount <= LIMIT + SIZE + 100
        assert (app.lost_with, app.counters.peers_too_slow) == ([CloseDetails(1013, "Too slow")], 1)
        held = app.channel.buffered_amount
        assert held < LIMIT
        app.channel.deliver(Broadcast("nobody hears"))
        assert app.channel.buffered_amount == held
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        numbers = []
        while (frame := await client.read_frame())[0] == FIN | TEXT:
            numbers.append(int(frame[1][:10].split()[0]))
        assert frame == (FIN | CLOSE, (1013).to_bytes(2) + b"Too slow")
        assert numbers == list(range(len(numbers)))
        assert len(numbers) < count


async def test_one_message_larger_than_the_limit_is_no_sign_of_a_slow_client() -> None:
    app = Recorder(limit=10)
    async with serve(app) as port, open_socket(port) as (client, _):
        for _ in range(3):
            app.channel.deliver(Broadcast("x" * 100_000))
            assert await client.read_frame() == (FIN | TEXT, b"x" * 100_000)
        assert app.counters.peers_too_slow == 0


async def test_sending_waits_for_a_slow_client() -> None:
    app = Recorder(limit=LIMIT)
    async with serve(app) as port, open_socket(port) as (client, _):
        stall(client)
        count = await fill(app)

        async def send() -> int:
            sent = count
            while sent < count + 20:
                if (rest := app.channel.send(number(sent))) is not None:
                    await rest
                sent += 1
            return sent

        sending = asyncio.create_task(send())
        await asyncio.sleep(0.05)
        assert not sending.done()
        assert app.channel.buffered_amount <= LIMIT + SIZE + 100
        await read_numbers(client, count + 20)
        assert await asyncio.wait_for(sending, PATIENCE) == count + 20
        assert app.counters.peers_too_slow == 0


async def test_client_that_leaves_frees_who_waits() -> None:
    app = Recorder(limit=LIMIT)
    async with serve(app) as port, open_socket(port) as (client, _):
        stall(client)
        await fill(app)
        sending = asyncio.ensure_future(app.channel.send("x" * LIMIT))
        draining = asyncio.create_task(app.channel.wait_for_drain())
        await asyncio.sleep(0.02)
        assert not sending.done()
        assert not draining.done()
        client.writer.transport.abort()
        with pytest.raises(PeerClosedError, match="disconnected while"):
            await asyncio.wait_for(sending, PATIENCE)
        await asyncio.wait_for(draining, PATIENCE)
        assert app.channel.buffered_amount == 0


async def test_pings_of_a_client_that_reads_nothing_do_not_pile_up() -> None:
    app = Recorder(limit=LIMIT)
    async with serve(app) as port, open_socket(port) as (client, _):
        stall(client)
        count = await fill(app)
        for _ in range(20):
            client.writer.write(write_masked(FIN | PING, b"x" * 125) * 1000)
            await client.writer.drain()
        client.send(FIN | TEXT, b"done")
        await app.reach(lambda: app.messages == ["done"])
        assert app.channel.buffered_amount <= LIMIT + 200
        assert app.counters.messages_sent == count


async def test_broadcast_is_compressed_once_for_equal_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []
    compress = zlib.compressobj

    def count(wbits: int) -> Any:
        made.append(-wbits)
        return compress(wbits=wbits)

    monkeypatch.setattr(zlib, "compressobj", count)
    offers = (
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate",
        "permessage-deflate; server_max_window_bits=10",
        "x-unknown",
    )
    apps: list[Recorder] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        apps.append(Recorder())
        await apps[-1](scope, receive, send)

    async with serve(app, ws_per_message_deflate=True) as port:
        text = "hello " * 100
        broadcast = Broadcast(text)
        payloads = []
        for index, offer in enumerate(offers):
            async with open_socket(port, f"Sec-WebSocket-Extensions: {offer}") as (client, head):
                assert ("server_no_context_takeover; client_no_context_takeover" in head) == (index < 3)
                apps[index].channel.deliver(broadcast)
                first, payload = await client.read_frame()
                assert first == (FIN | RSV1 | TEXT if index < 3 else FIN | TEXT)
                payloads.append(payload)
    assert made == [15, 10]
    assert payloads[0] == payloads[1]
    for payload in payloads[:3]:
        assert zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff") == text.encode()
    assert payloads[3] == text.encode()


async def test_client_that_has_not_read_an_earlier_answer_is_slow_from_the_start() -> None:
    recorder = Recorder(limit=1 << 20)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await recorder(scope, receive, send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(16 << 20)})

    async with serve(app, http=HttpProtocol) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(write_head())
            await poll(lambda: recorder.channel is not None)
            for _ in range(10):
                recorder.channel.deliver(Broadcast("x" * 100_000))
                await asyncio.sleep(0)
            assert recorder.counters.peers_too_slow == 1
        finally:
            writer.transport.abort()
