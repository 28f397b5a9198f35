from __future__ import annotations

import asyncio
import gc
import socket
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from nitro_presets.aws_lambda.aws_client import http
from nitro_presets.aws_lambda.aws_client.errors import TransportError
from nitro_presets.aws_lambda.aws_client.http import ConnectionPool
from tests.ports import find_port
from tests.presets.aws_lambda.aws_client.service_double import HANG_UP, OK, Answer, Peer, answer, ask

pytestmark = pytest.mark.anyio

CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nhel", b"\r\n2\r\nlo\r\n0\r", b"\n\r\n")


class Greeter(BaseHTTPRequestHandler):
    """A service that answers every post, in a thread of its own."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


async def test_connection_is_kept_for_the_next_request() -> None:
    async with Peer(answer(200, b"one"), answer(404, b"two")) as peer:
        transport = ConnectionPool(peer.url)
        responses = [await transport.request("POST", f"/{body}?q", {"x-a": "1"}, body.encode()) for body in "ab"]
        await transport.close()
    assert [(response.status, response.body) for response in responses] == [(200, b"one"), (404, b"two")]
    assert [(request.connection, request.target, request.body) for request in peer.requests] == [
        (1, "/a?q", b"a"),
        (1, "/b?q", b"b"),
    ]
    assert peer.requests[0].headers == {"host": peer.url[7:], "x-a": "1", "content-length": "1"}


async def test_chunked_and_slow_answers_are_whole() -> None:
    big = b"x" * 300_000
    slow = tuple(bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    async with Peer(Answer(CHUNKED, pause=0.01), Answer(slow, pause=0.001), answer(200, big)) as peer:
        transport = ConnectionPool(peer.url, timeout=60)
        bodies = [(await ask(transport, big)).body for _ in range(3)]
        await transport.close()
    assert bodies == [b"hello", b"ok", big]
    assert {request.connection for request in peer.requests} == {1}
    assert all(request.body == big for request in peer.requests)


@pytest.mark.parametrize(("trust", "sent"), [(60.0, True), (0.0, False)], ids=["by trying", "by looking"])
async def test_connection_that_ended_during_a_freeze_is_replaced(
    monkeypatch: pytest.MonkeyPatch, trust: float, sent: bool
) -> None:
    monkeypatch.setattr(http, "MAX_UNCHECKED_IDLE", trust)
    listener = socket.create_server(("127.0.0.1", 0))
    transport = ConnectionPool(f"http://127.0.0.1:{listener.getsockname()[1]}")

    def serve() -> socket.socket:
        accepted, _ = listener.accept()
        accepted.recv(65_536)
        accepted.sendall(OK.pieces[0])
        return accepted

    first = asyncio.create_task(ask(transport))
    stale = await asyncio.to_thread(serve)
    assert (await first).status == 200
    # The loop gets no turn between the end of the connection and the next request: as after a freeze.
    stale.shutdown(socket.SHUT_WR)
    second = asyncio.create_task(ask(transport))
    fresh = await asyncio.to_thread(serve)
    assert (await second).status == 200
    assert (len(stale.recv(65_536)) > 0) == sent
    await transport.close()
    for one in (stale, fresh, listener):
        one.close()


async def test_all_connections_that_ended_are_replaced() -> None:
    async with Peer(*[answer(200, pause=0.05)] * 4) as peer:
        transport = ConnectionPool(peer.url)
        await asyncio.gather(*(ask(transport) for _ in range(4)))
        peer.hang_up()
        # Not even yielding long enough for the loop to see the ends.
        responses = await asyncio.gather(*(ask(transport) for _ in range(8)))
        await transport.close()
    assert [response.status for response in responses] == [200] * 8
    assert len(peer.requests) == 12


async def test_request_is_sent_once_more_only_where_nothing_came() -> None:
    torn = Answer((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",), hang_up=True)
    async with Peer(OK, torn, OK, HANG_UP, OK) as peer:
        transport = ConnectionPool(peer.url)
        await ask(transport)
        with pytest.raises(TransportError, match="lost") as caught:
            await ask(transport)
        assert caught.value.sent
        await ask(transport)
        assert (await ask(transport)).status == 200
        await transport.close()
    assert [request.connection for request in peer.requests] == [1, 1, 2, 2, 3]


async def test_new_connection_that_hangs_up_is_not_tried_again() -> None:
    async with Peer(HANG_UP) as peer:
        transport = ConnectionPool(peer.url)
        with pytest.raises(TransportError, match="lost") as caught:
            await ask(transport)
        await transport.close()
    assert caught.value.sent
    assert len(peer.requests) == 1


async def test_connection_is_closed_where_the_answer_says_so() -> None:
    async with Peer(answer(200, b"", "Connection: close"), OK) as peer:
        transport = ConnectionPool(peer.url)
        await ask(transport)
        await ask(transport)
        await transport.close()
    assert peer.connections == 2


async def test_body_without_a_length_is_whole_at_the_end() -> None:
    async with Peer(Answer((b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"), hang_up=True), OK) as peer:
        transport = ConnectionPool(peer.url)
        assert (await ask(transport)).body == b"hello"
        await ask(transport)
        await transport.close()
    assert peer.connections == 2


@pytest.mark.parametrize("junk", [b"junk", OK.pieces[0]])
async def test_bytes_that_nobody_asked_for_end_the_connection(junk: bytes) -> None:
    async with Peer(Answer((OK.pieces[0], junk), pause=0.01), answer(201)) as peer:
        transport = ConnectionPool(peer.url)
        await ask(transport)
        # Until they have come.
        await asyncio.sleep(0.5)
        assert (await ask(transport)).status == 201
        await transport.close()
    assert [request.connection for request in peer.requests] == [1, 2]


async def test_answer_that_is_no_http_is_an_error() -> None:
    async with Peer(Answer((b"junk\r\n\r\n",))) as peer:
        transport = ConnectionPool(peer.url)
        with pytest.raises(TransportError, match="Expected a response of HTTP"):
            await ask(transport)
        assert (await ask(transport)).status == 200
        await transport.close()
    assert [request.connection for request in peer.requests] == [1, 2]


async def test_closed_port_is_an_error_before_anything_was_sent() -> None:
    with pytest.raises(TransportError, match="cannot be reached") as caught:
        await ask(ConnectionPool(f"http://127.0.0.1:{find_port()}"))
    assert not caught.value.sent


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the names that are looked up; `many.test` has an address where nothing listens, and then ours."""
    names: list[str] = []
    find = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **options: Any) -> Any:
        names.append(host)
        if host != "many.test":
            return find(host, *arguments, **options)
        return find("127.0.0.2", *arguments, **options) + find("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return names


async def test_name_is_looked_up_once_for_all_connections(
    monkeypatch: pytest.MonkeyPatch, lookups: list[str]
) -> None:
    async with Peer(*[answer(200, pause=0.2)] * 20) as peer:
        transport = ConnectionPool(peer.url.replace("127.0.0.1", "many.test"))
        lookups.clear()
        answers = await asyncio.gather(*(ask(transport) for _ in range(20)))
        assert [one.status for one in answers] == [200] * 20
        assert (peer.connections, lookups) == (20, ["many.test"])
        peer.hang_up()
        monkeypatch.setattr(http, "MAX_UNCHECKED_IDLE", 0.0)
        await ask(transport)
        assert lookups == ["many.test"]
        monkeypatch.setattr(transport, "_lookup_end", 0.0)
        peer.hang_up()
        await ask(transport)
        assert lookups == ["many.test"] * 2
        await transport.close()


async def test_name_is_looked_up_again_once_its_addresses_fail(lookups: list[str]) -> None:
    port = find_port()
    transport = ConnectionPool(f"http://many.test:{port}")
    for _ in range(2):
        with pytest.raises(TransportError, match="cannot be reached"):
            await ask(transport)
    assert lookups.count("many.test") == 2
    async with Peer(port=port):
        assert (await ask(transport)).status == 200
    await transport.close()


def test_next_loop_starts_anew() -> None:
    async def ask_twice(*, close: bool) -> list[int]:
        statuses = [(await ask(transport)).status for _ in range(2)]
        if close:
            await transport.close()
        return statuses

    with ThreadingHTTPServer(("127.0.0.1", 0), Greeter) as server:
        threading.Thread(target=server.serve_forever).start()
        transport = ConnectionPool(f"http://127.0.0.1:{server.server_port}")
        assert asyncio.run(ask_twice(close=False)) == [200, 200]
        # What the first loop left open has no owner any more, and warns when it is collected.
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            assert asyncio.run(ask_twice(close=True)) == [200, 200]
            gc.collect()
        server.shutdown()


@pytest.mark.parametrize("url", ["ftp://a", "127.0.0.1:80", ""])
def test_url_is_checked(url: str) -> None:
    with pytest.raises(ValueError, match="Expected a URL"):
        ConnectionPool(url)
