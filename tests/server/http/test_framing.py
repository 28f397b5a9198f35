"""Where requests end: what is refused because servers could differ about it, and what has a limit."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.server.http.wire import PATIENCE, echo, serve

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "lines",
    [
        ("POST / HTTP/1.1", "Host: x", "Content-Length: 5", "Transfer-Encoding: chunked"),
        ("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "Content-Length: 5"),
        ("POST / HTTP/1.1", "Host: x", "Content-Length: 5", "Content-Length: 6"),
        ("POST / HTTP/1.1", "Host: x", "Content-Length: +5"),
        ("POST / HTTP/1.1", "Host: x", "Content-Length: 5, 6"),
        ("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked, identity"),
        ("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: xchunked"),
        ("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: gzip, chunked"),
        ("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: , chunked"),
        ("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: identity", "Transfer-Encoding: chunked"),
        ("POST / HTTP/1.1", "Host: x", "Content-Length : 5"),
        ("GET / HTTP/1.1", "Host: x", "X: a\rb: c"),
        ("GET / HTTP/1.1", "Host: x", "X: a\x00b"),
        ("GET / HTTP/1.1", "Host: x", "X: a", " folded: b"),
        ("GET /\x80 HTTP/1.1", "Host: x"),
        ("get / HTTP/1.1", "Host: x"),
        ("GET / HTTP/9.9", "Host: x"),
        ("GET / HTTP/2.0", "Host: x"),
        ("GET /",),
        ("CONNECT a:80 HTTP/1.1", "Host: x"),
        ("CONNECT http://a/ HTTP/1.1", "Host: x"),
        ("CONNECT / HTTP/1.1", "Host: x"),
        ("GET http://user@a/ HTTP/1.1", "Host: x"),
        ("GET http://[::1/ HTTP/1.1", "Host: x"),
        ("GET ftp://a/ HTTP/1.1", "Host: x"),
        ("GET * HTTP/1.1", "Host: x"),
        ("GET / RTSP/1.1", "Host: x"),
        ("OPTIONS / RTSP/1.0", "Host: x"),
        ("GET  / HTTP/1.1", "Host: x"),
        ("GET /  HTTP/1.1", "Host: x"),
        ("nonsense",),
    ],
    ids=repr,
)
async def test_request_that_two_servers_could_read_differently_is_refused(lines: tuple[str, ...]) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await echo(scope, receive, send)

    async with serve(app) as site, site.connect() as wire:
        wire.send(*lines, body=b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        found = await wire.read()
        assert (found.status, found.get("connection")) == (400, "close")
        assert await wire.read_end() == b""
    assert "/smuggled" not in seen


async def test_request_line_may_come_in_pieces() -> None:
    async with serve(echo) as site, site.connect() as wire:
        for piece in (b"G", b"ET ", b"/", b"a?b=c ", b"HT", b"TP/1.", b"1\r", b"\nHost: x\r\n", b"\r\n"):
            wire.writer.write(piece)
            await asyncio.sleep(0.01)
        assert (await wire.read()).status == 200
        # Two at once, the second behind a body.
        head = ("POST / HTTP/1.1", "Host: x", "Content-Length: 3")
        wire.send(*head, body=b"abcGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [(await wire.read()).status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("target", ["http://a.test", "HTTPS://a.test/", "http://a.test?b=c"])
async def test_target_that_is_a_url_gives_the_path_and_the_host(target: str) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], scope["raw_path"], scope["query_string"], dict(scope["headers"])[b"host"]))
        await echo(scope, receive, send)

    async with serve(app) as site, site.connect() as wire:
        wire.send(f"GET {target} HTTP/1.1", "Host: other.test")
        assert (await wire.read()).status == 200
    query = target.partition("?")[2].encode()
    assert seen == [("/", b"/", query, b"a.test")]


async def test_broken_chunk_is_refused_and_the_app_told() -> None:
    told = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with serve(app) as site, site.connect() as wire:
        wire.send("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", body=b"1\r\na\r\nzz\r\n")
        assert (await wire.read()).status == 400
        assert await wire.read_end() == b""
        async with asyncio.timeout(PATIENCE):
            await told.wait()


async def test_content_that_comes_with_the_rest_of_a_head_is_no_part_of_it() -> None:
    async with serve(echo) as site, site.connect() as wire:
        wire.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n")
        await asyncio.sleep(0.02)
        # All of it at once: more than a head may have.
        wire.send("Content-Length: 200000", body=b"a" * 200_000)
        assert len(json.loads((await wire.read()).body)["body"]) == 200_000


@pytest.mark.parametrize("endless", [b"x: y\r\n", b"x"], ids=["fields", "field"])
async def test_fields_behind_a_body_have_a_limit(endless: bytes) -> None:
    async with serve(echo) as site, site.connect() as wire:
        wire.send("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\n")
        for _ in range(4):
            await asyncio.sleep(0.02)
            wire.writer.write(endless * (32 * 1024 // len(endless)))
        assert (await wire.read()).status == 431
        assert await wire.read_end() == b""


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\nHost: x\n\n",
        CHUNKED + b"2;a\nb\r\nab\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nabX\r\n0\r\n\r\n",
        CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n",
        CHUNKED + b"0\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\tchunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ],
)
async def test_framing_that_servers_differ_about_is_refused(request_: bytes) -> None:
    async with serve(echo) as site, site.connect() as wire:
        wire.writer.write(request_)
        assert (await wire.read()).status == 400
        assert await wire.read_end() == b""
