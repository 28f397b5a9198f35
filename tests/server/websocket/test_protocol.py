"""Sockets that an application takes over, with a real client at the other end."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from nitro_py.errors import PeerClosedError
from nitro_py.event import Receive, Scope, Send
from nitro_py.runtime.asgi.extensions import SOCKET_EXTENSION
from nitro_py.runtime.contracts import ReadyState
from nitro_py.runtime.counters import Counters
from nitro_py.server.http.protocol import HttpProtocol
from nitro_py.server.websocket import channel as channel_module
from nitro_py.server.websocket.frames import BINARY, CLOSE, FIN, PING, TEXT, write_close
from nitro_py.websocket import CloseDetails
from tests.certificates import make_certificate
from tests.server.websocket.raw import open_connection, open_socket, serve, write_head, write_masked
from tests.server.websocket.recorder import Recorder

pytestmark = pytest.mark.anyio


async def test_messages_go_to_whoever_took_the_socket_over() -> None:
    app = Recorder()
    async with serve(app) as port, open_socket(port) as (client, _):
        client.send(FIN | TEXT, b"one")
        client.send(FIN | BINARY, b"two")
        await app.reach(lambda: len(app.messages) == 2)
        assert app.messages == ["one", b"two"]
        assert (app.channel.send("three"), app.channel.send(b"four")) == (None, None)
        assert [await client.read_frame() for _ in range(2)] == [(FIN | TEXT, b"three"), (FIN | BINARY, b"four")]
        assert (app.counters.messages_sent, app.channel.buffered_amount) == (2, 0)
        client.send(FIN | CLOSE, (4000).to_bytes(2) + "é".encode())
        assert await app.end() == CloseDetails(4000, "é")
        assert app.channel.ready_state is ReadyState.CLOSED
        with pytest.raises(PeerClosedError, match="got CLOSED"):
            await app.channel.send("late")
        assert await client.read_rest() == write_close(4000, "")


async def test_socket_cannot_be_taken_over_before_it_is_accepted() -> None:
    problems: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            scope["extensions"][SOCKET_EXTENSION].open_channel(limit=1, counters=Counters())
        except RuntimeError as error:
            problems.append(str(error))
        await send({"type": "websocket.close"})

    async with serve(app) as port, open_socket(port):
        assert problems == ["Expected an accepted handshake, got state HANDSHAKE."]


async def test_client_that_closes_without_a_code_gives_1005() -> None:
    app = Recorder()
    async with serve(app) as port, open_socket(port) as (client, _):
        client.send(FIN | CLOSE)
        assert await client.read_rest() == write_close(1005, "")
        assert await app.end() == CloseDetails(1005)


@pytest.mark.parametrize("way", ["reset", "end"])
async def test_connection_that_is_lost_gives_1006(way: str) -> None:
    app = Recorder()
    async with serve(app) as port, open_socket(port) as (client, _):
        if way == "reset":
            client.writer.transport.abort()
        else:
            client.writer.write_eof()
        assert await app.end() == CloseDetails(1006)
        assert app.channel.ready_state is ReadyState.CLOSED


async def test_close_of_ours_waits_for_the_answer_and_drops_what_comes_before_it() -> None:
    app = Recorder()
    async with serve(app) as port, open_socket(port) as (client, _):
        await app.channel.close(4001, "enough")
        await app.channel.close(4002, "again")
        with pytest.raises(PeerClosedError, match="got CLOSING"):
            await app.channel.send("late")
        assert await client.read_frame() == (FIN | CLOSE, (4001).to_bytes(2) + b"enough")
        client.send(FIN | TEXT, b"unheard")
        client.send(FIN | PING, b"unanswered")
        assert (app.lost_with, app.is_gone) == ([], False)
        client.send(FIN | CLOSE, (4001).to_bytes(2))
        assert await client.read_rest() == b""
        assert await app.end() == CloseDetails(4001, "enough")
        await app.reach(lambda: app.is_gone)
        assert app.messages == []


async def test_close_that_is_not_answered_drops_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "CLOSE_TIMEOUT", 0.05)
    app = Recorder()
    async with serve(app) as port, open_socket(port) as (client, _):
        await app.channel.close(4001, "enough")
        assert await client.read_rest() == write_close(4001, "enough")
        assert await app.end() == CloseDetails(4001, "enough")


async def test_terminate_drops_the_connection_at_once() -> None:
    app = Recorder()
    async with serve(app) as port, open_socket(port) as (client, _):
        await app.channel.terminate()
        await app.channel.terminate()
        assert app.channel.ready_state is ReadyState.CLOSED
        assert await app.end() == CloseDetails(1006)
        assert FIN | CLOSE not in await client.read_rest()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x01a", 1002),
        (write_masked(FIN | TEXT, b"\xff"), 1007),
        (write_masked(TEXT, b"\xff"), 1007),
        (b"\x82\xff" + (1 << 40).to_bytes(8), 1009),
    ],
)
async def test_client_that_breaks_the_protocol_is_told_and_left(data: bytes, code: int) -> None:
    app = Recorder()
    async with serve(app, ws_max_size=1000) as port, open_socket(port) as (client, _):
        client.writer.write(data + b"x" * 100_000)
        first, payload = await client.read_frame()
        assert (first, int.from_bytes(payload[:2])) == (FIN | CLOSE, code)
        # What it sends now is read and dropped, or the connection would be reset under the close frame.
        client.writer.write(b"x" * 100_000)
        assert await client.read_rest() == b""
        assert (await app.end()).code == code
        assert app.messages == []


async def test_limit_below_the_length_of_a_short_message_holds() -> None:
    app = Recorder()
    async with serve(app, ws_max_size=10) as port, open_socket(port) as (client, _):
        client.send(FIN | TEXT, b"0123456789")
        await app.reach(lambda: len(app.messages) == 1)
        client.send(FIN | TEXT, b"0123456789a")
        first, payload = await client.read_frame()
        assert (first, int.from_bytes(payload[:2])) == (FIN | CLOSE, 1009)
    assert app.messages == ["0123456789"]


async def test_reading_pauses_while_the_receiver_is_full_and_loses_nothing() -> None:
    app = Recorder(room=2)
    async with serve(app) as port, open_socket(port) as (client, _):
        client.writer.write(b"".join(write_masked(FIN | TEXT, str(number).encode()) for number in range(50)))
        await app.reach(lambda: app.on_resume is not None)
        await asyncio.sleep(0.05)
        assert app.messages == ["0", "1"]
        app.room = 10
        app.on_resume, room = None, app.on_resume
        assert room is not None
        room()
        await app.reach(lambda: app.on_resume is not None)
        assert app.messages == [str(number) for number in range(10)]
        app.room = 1000
        room = app.on_resume
        assert room is not None
        room()
        client.send(FIN | TEXT, b"50")
        await app.reach(lambda: len(app.messages) == 51)
        assert app.messages == [str(number) for number in range(51)]


async def test_close_goes_through_while_reading_is_paused() -> None:
    app = Recorder(room=1)
    async with serve(app) as port, open_socket(port) as (client, _):
        for _ in range(20):
            client.send(FIN | TEXT, b"x" * 10_000)
        await app.reach(lambda: app.on_resume is not None)
        await app.channel.close(1000, "")
        assert await client.read_frame() == (FIN | CLOSE, (1000).to_bytes(2))
        client.send(FIN | CLOSE, (1000).to_bytes(2))
        assert await client.read_rest() == b""
        assert await app.end() == CloseDetails(1000)
        assert len(app.messages) == 1


async def test_sockets_work_over_tls(tmp_path: Path) -> None:
    _, authority = make_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(authority))
    files = {"ssl_certfile": str(tmp_path / "certificate.pem"), "ssl_keyfile": str(tmp_path / "key.pem")}
    app = Recorder()
    async with serve(app, **files) as port, open_socket(port, context=trust) as (client, _):
        size = 3_000_000
        assert app.channel.send("x" * size) is None
        assert await client.read_frame() == (FIN | TEXT, b"x" * size)
        client.send(FIN | TEXT, b"hi")
        await app.reach(lambda: app.messages == ["hi"])
        await app.channel.wait_for_drain()
        await app.channel.close(4000, "")
        assert await client.read_frame() == (FIN | CLOSE, (4000).to_bytes(2))
        client.send(FIN | CLOSE, (4000).to_bytes(2))
        assert await client.read_rest() == b""
        assert await app.end() == CloseDetails(4000)


@pytest.mark.parametrize("room", [1000, 20])
async def test_many_frames_that_come_with_the_handshake_do_not_stop_the_reading(room: int) -> None:
    app = Recorder(room)
    async with serve(app, http=HttpProtocol) as port, open_connection(port) as client:
        client.writer.write(write_head() + b"".join(write_masked(FIN | TEXT, b"%d" % i) for i in range(40)))
        await app.reach(lambda: len(app.messages) == min(room, 40))
        app.room = 1000
        if app.on_resume is not None:
            app.on_resume()
        client.send(FIN | TEXT, b"40")
        await app.reach(lambda: len(app.messages) == 41)
        assert app.messages == [str(number) for number in range(41)]


async def test_frames_that_come_in_one_read_with_the_handshake_are_not_lost() -> None:
    app = Recorder()
    async with serve(app, http=HttpProtocol) as port, open_connection(port) as client:
        client.writer.write(write_head() + write_masked(FIN | TEXT, b"one") + write_masked(FIN | TEXT, b"two")[:4])
        assert (await client.read_head()).startswith("HTTP/1.1 101 ")
        client.writer.write(write_masked(FIN | TEXT, b"two")[4:])
        await app.reach(lambda: len(app.messages) == 2)
        assert app.messages == ["one", "two"]
