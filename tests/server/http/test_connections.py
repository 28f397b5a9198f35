"""HTTP connections: slow, idle and leaving clients, the stop, upgrades, and what goes past the messages."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from nitro_py.runtime.asgi.extensions import find_direct_send, frame_chunk
from tests.server.http.wire import HELLO, PATIENCE, echo, serve

pytestmark = pytest.mark.anyio


async def test_client_that_leaves_is_told_to_the_app() -> None:
    told = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        # What is sent to a client that has left is no error.
        await send({"type": "http.response.body", "body": b"abc"})
        told.set()

    async with serve(app) as site:
        async with site.connect() as wire:
            wire.send(*HELLO)
            await wire.reader.readuntil(b"abc")
            wire.writer.transport.abort()
        async with asyncio.timeout(PATIENCE):
            await told.wait()


async def test_app_that_fails_is_answered_for_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        if scope["path"] != "/silent":
            raise ValueError("no")

    async with serve(app) as site:
        for path in ("/early", "/silent"):
            async with site.connect() as wire:
                wire.send(f"GET {path} HTTP/1.1", "Host: x")
                assert (await wire.read()).status == 500
                assert await wire.read_end() == b""
        async with site.connect() as wire:
            wire.send("GET /late HTTP/1.1", "Host: x")
            # No last chunk: the client must know that it has not got everything.
            assert (await wire.read_end()).endswith(b"3\r\nabc\r\n")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3


async def test_fields_behind_a_body_are_not_among_the_head_s() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        seen.append([name for name, _ in scope["headers"]])

    async with serve(app) as site, site.connect() as wire:
        body = b"2\r\nab\r\n0\r\nAuthorization: me\r\n\r\n"
        wire.send("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", body=body)
        assert json.loads((await wire.read()).body)["body"] == "ab"
        wire.send(*HELLO)
        await wire.read()
    assert seen == [[b"host", b"transfer-encoding"], [b"host"]]


@pytest.mark.parametrize(("trusted", "client"), [("127.0.0.1", "10.1.2.3"), ("10.0.0.1", "127.0.0.1")])
async def test_proxy_that_is_trusted_tells_of_the_client(trusted: str, client: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = f"{scope['client'][0]} {scope['scheme']}".encode()
        fields = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    async with serve(app, proxy_headers=True, forwarded_allow_ips=trusted) as site, site.connect() as wire:
        wire.send(*HELLO, "X-Forwarded-For: 10.1.2.3", "X-Forwarded-Proto: https")
        scheme = "http" if client == "127.0.0.1" else "https"
        assert (await wire.read()).body == f"{client} {scheme}".encode()
        # The next request says nothing, and nothing is left of the last one.
        wire.send(*HELLO)
        assert (await wire.read()).body == b"127.0.0.1 http"


async def test_slow_reader_makes_the_app_wait() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            await send({"type": "http.response.body", "body": b"x" * 50_000, "more_body": True})
            sent += 1
        await send({"type": "http.response.body", "body": b""})

    async with serve(app) as site, site.connect() as wire:
        wire.send(*HELLO)
        await asyncio.sleep(0.2)
        assert sent < 300
        assert len((await wire.read()).body) == 20_000_000


async def test_idle_connection_is_closed_and_a_used_one_is_not() -> None:
    async with serve(echo, timeout_keep_alive=2) as site, site.connect() as wire:
        for _ in range(6):
            wire.send(*HELLO)
            await wire.read()
            await asyncio.sleep(0.5)
        started = asyncio.get_running_loop().time()
        assert await wire.read_end() == b""
        # The default is 5 s.
        assert asyncio.get_running_loop().time() - started < 4


async def test_shutdown_ends_idle_connections_at_once_and_busy_ones_after_their_answer() -> None:
    release = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/busy":
            await release.wait()
        await echo(scope, receive, send)

    async with serve(app) as site, site.connect() as idle, site.connect() as busy:
        idle.send(*HELLO)
        await idle.read()
        busy.send("GET /busy HTTP/1.1", "Host: x")
        await asyncio.sleep(0.02)
        for connection in list(site.state.connections):
            connection.shutdown()
        assert await idle.read_end() == b""
        release.set()
        assert (await busy.read()).get("connection") == "close"
        assert await busy.read_end() == b""


async def test_other_upgrades_are_ignored_and_what_follows_is_answered() -> None:
    async with serve(echo) as site, site.connect() as wire:
        for number in range(2000):
            wire.send(f"GET /{number} HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: h2c")
        for number in range(2000):
            assert json.loads((await wire.read()).body)["path"] == f"/{number}"


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
@pytest.mark.parametrize(
    ("field", "start", "end"),
    [("Content-Length: 40", b"", b""), ("Transfer-Encoding: chunked", b"28\r\n", b"\r\n0\r\n\r\n")],
    ids=["length", "chunks"],
)
async def test_content_behind_another_upgrade_is_no_request(
    protocol: str, field: str, start: bytes, end: bytes
) -> None:
    content = b"GET /smuggled HTTP/1.1\r\nHost: inside\r\n\r\n"
    async with serve(echo, ws=Recorder) as site, site.connect() as wire:
        fields = ("Host: x", "Connection: Upgrade", f"Upgrade: {protocol}", field)
        wire.send("POST /outer HTTP/1.1", *fields, body=start + content[:20])
        await asyncio.sleep(0.02)
        wire.writer.write(content[20:] + end)
        wire.send("GET /next HTTP/1.1", "Host: x")
        first, second = [json.loads((await wire.read()).body) for _ in range(2)]
    assert (first["path"], first["body"], second["path"]) == ("/outer", content.decode(), "/next")


class Recorder(asyncio.Protocol):
    """Stands where a WebSocket protocol does, and keeps what it is handed."""

    received: asyncio.Queue[bytes] = asyncio.Queue()

    def __init__(self, config: Any, server_state: Any, app_state: Any) -> None:
        pass

    def data_received(self, data: bytes) -> None:
        """Keep some bytes."""
        self.received.put_nowait(data)


async def test_bytes_behind_a_handshake_reach_the_socket_after_it() -> None:
    fields = ("host: x", "connection: keep-alive, Upgrade", "upgrade: websocket")
    Recorder.received = asyncio.Queue()
    async with serve(echo, ws=Recorder) as site, site.connect() as wire:
        wire.send("GET /socket?a=b HTTP/1.1", *fields, body=b"\x81\x00frames")
        async with asyncio.timeout(PATIENCE):
            received = [await Recorder.received.get() for _ in range(2)]
            wire.writer.write(b"more")
            received.append(await Recorder.received.get())
        head = "".join(f"{line}\r\n" for line in ("GET /socket?a=b HTTP/1.1", *fields, "")).encode()
        assert received == [head, b"\x81\x00frames", b"more"]
        assert not site.state.connections


async def test_handshake_behind_an_unanswered_request_is_a_plain_request() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.02)
        await echo(scope, receive, send)

    async with serve(app, ws=Recorder) as site, site.connect() as wire:
        wire.send(*HELLO)
        wire.send("GET /socket HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket")
        assert [(await wire.read()).status for _ in range(2)] == [200, 200]


async def test_wrapped_send_is_not_gone_past() -> None:
    found = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def wrapped(message: Any) -> None:
            await send(message)

        found.append(
            (find_direct_send(scope, send) is send, find_direct_send(scope, wrapped), find_direct_send({}, send))
        )
        await echo(scope, receive, send)

    async with serve(app) as site, site.connect() as wire:
        wire.send(*HELLO)
        await wire.read()
    assert found == [(True, None, None)]


async def test_stream_is_written_past_the_messages_only_while_it_is_chunked() -> None:
    opened = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        direct = find_direct_send(scope, send)
        assert direct is not None

        class Listener:
            def writable(self) -> None: ...
            def abort(self) -> None: ...

        before = direct.open_stream(Listener())
        fields = [(b"content-length", b"1")] if scope["path"] == "/length" else []
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        opened[scope["path"], scope["method"]] = (before, direct.open_stream(Listener()))
        if opened[scope["path"], scope["method"]][1]:
            direct.write_chunk(frame_chunk(b"direct "))
        await send({"type": "http.response.body", "body": b"x"})
        direct.write_chunk(frame_chunk(b"too late"))

    async with serve(app) as site:
        async with site.connect() as wire:
            wire.send("GET /chunks HTTP/1.1", "Host: x")
            assert (await wire.read()).body == b"direct x"
            wire.send("GET /length HTTP/1.1", "Host: x")
            assert (await wire.read()).body == b"x"
            wire.send("HEAD /chunks HTTP/1.1", "Host: x")
            await wire.read("HEAD")
        async with site.connect() as wire:
            wire.send("GET /old HTTP/1.0")
            assert (await wire.read()).body == b"x"
    assert opened == {
        ("/chunks", "GET"): (False, True),
        ("/length", "GET"): (False, False),
        ("/chunks", "HEAD"): (False, False),
        ("/old", "GET"): (False, False),
    }
