"""Each request names one host (RFC 9112, section 3.2)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.http.wire import echo, serve

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "lines",
    [
        ("GET / HTTP/1.1",),
        ("GET / HTTP/1.1", "Host: x", "Host: x"),
        ("GET / HTTP/1.1", "Host: x", "Host: y"),
        ("GET / HTTP/1.0", "Host: x", "Host: y"),
        ("GET / HTTP/1.1", "Host: x/y"),
        ("GET / HTTP/1.1", "Host: a@x"),
        ("GET / HTTP/1.1", "Host: x y"),
        ("GET / HTTP/1.1", "Host: \xe9"),
        ("GET / HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "Host: y"),
        ("GET / HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket"),
    ],
    ids=repr,
)
async def test_request_that_could_be_for_another_site_is_refused(lines: tuple[str, ...]) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await echo(scope, receive, send)

    async with serve(app) as site, site.connect() as wire:
        wire.send(*lines)
        wire.send("GET /next HTTP/1.1", "Host: x")
        found = await wire.read()
        assert (found.status, found.get("connection")) == (400, "close")
        assert b"`Host`" in found.body
        assert await wire.read_end() == b""
    assert seen == []


async def test_http_1_0_needs_no_host() -> None:
    async with serve(echo) as site, site.connect() as wire:
        wire.send("GET / HTTP/1.0")
        assert (await wire.read()).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "x",
        "A.test",
        "a_b.test:8080",
        "127.0.0.1:80",
        "[::1]",
        "[fe80::1]:8080",
        "x:",
        "x \t",
        "xn--bcher-kva.test",
        "%41",
    ],
)
async def test_hosts_that_there_are_pass(host: str) -> None:
    async with serve(echo) as site, site.connect() as wire:
        for _ in range(2):
            wire.send("GET / HTTP/1.1", f"Host: {host}")
            assert (await wire.read()).status == 200


async def test_each_request_of_a_connection_names_its_host() -> None:
    async with serve(echo) as site, site.connect() as wire:
        for host in ("Host: x", "HOST: y", "host: x"):
            wire.send("GET / HTTP/1.1", host)
            assert (await wire.read()).status == 200
        wire.send("GET / HTTP/1.1", "Host: x")
        wire.send("GET / HTTP/1.1")
        # What came before it deserves its answer.
        found = await wire.read()
        assert (found.status, found.get("connection")) == (200, "close")
        assert await wire.read_end() == b""
