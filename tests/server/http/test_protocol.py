"""HTTP as it stands on the wire: framing, order, and what is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.server.http.wire import HELLO, answer, echo, serve

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["/hello", "/plain"])
def path(request: pytest.FixtureRequest) -> str:
    """Name a path that is answered as a whole, then one that is answered by messages."""
    path: str = request.param
    return path


async def test_pipelined_requests_are_answered_in_their_order(path: str) -> None:
    release = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["query_string"] == b"0":
            await release.wait()
        await echo(scope, receive, send)

    async with serve(app) as site, site.connect() as wire:
        for number in range(3):
            wire.send(f"POST {path}?{number} HTTP/1.1", "Host: x", "Content-Length: 1", body=b"%d" % number)
        await asyncio.sleep(0.05)
        # The answers that are ready wait for the first one.
        assert not wire.reader._buffer  # type: ignore[attr-defined]
        release.set()
        for number in range(3):
            found = json.loads((await wire.read()).body)
            assert (found["query"], found["body"]) == (str(number), str(number))


async def test_head_gets_the_head_of_get_and_the_connection_goes_on(path: str) -> None:
    async with serve(echo) as site, site.connect() as wire:
        wire.send(f"HEAD {path} HTTP/1.1", "Host: x")
        wire.send(f"GET {path} HTTP/1.1", "Host: x")
        head = await wire.read("HEAD")
        assert int(head.get("content-length") or 0) > 0
        assert json.loads((await wire.read()).body)["method"] == "GET"


@pytest.mark.parametrize("status", [204, 304])
async def test_answer_without_content_has_no_length(path: str, status: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, send, status, [(b"etag", b'"1"')], b"")

    async with serve(app) as site, site.connect() as wire:
        for _ in range(2):
            wire.send(f"GET {path} HTTP/1.1", "Host: x")
            found = await wire.read()
            assert (found.status, found.get("etag")) == (status, '"1"')
            assert found.get("content-length") is found.get("transfer-encoding") is None


async def test_connection_close_ends_it_and_what_follows_is_not_run(path: str) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["query_string"])
        await echo(scope, receive, send)

    async with serve(app) as site, site.connect() as wire:
        wire.send(f"GET {path}?first HTTP/1.1", "Host: x", "Connection: close")
        wire.send(f"GET {path}?second HTTP/1.1", "Host: x")
        assert (await wire.read()).get("connection") == "close"
        assert await wire.read_end() == b""
    assert seen == [b"first"]


async def test_app_that_closes_ends_the_connection(path: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, send, 200, [(b"connection", b"Close"), (b"content-length", b"2")], b"ok")

    async with serve(app) as site, site.connect() as wire:
        wire.send(f"GET {path} HTTP/1.1", "Host: x")
        assert (await wire.read()).body == b"ok"
        assert await wire.read_end() == b""


async def test_field_that_ends_every_connection_stands_once_in_an_answer(path: str) -> None:
    async with serve(echo) as site, site.connect() as wire:
        site.state.default_headers.append((b"date", b"now"))
        wire.send(f"GET {path} HTTP/1.1", "Host: x")
        assert (await wire.read()).get("connection") is None
        # As a stop does it, in place.
        site.state.default_headers.append((b"connection", b"close"))
        wire.send(f"GET {path} HTTP/1.1", "Host: x")
        found = await wire.read()
        assert (found.get("connection"), found.get("date")) == ("close", "now")
        assert await wire.read_end() == b""


async def test_http_1_0_gets_no_chunks_and_ends_with_the_connection() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with serve(app) as site, site.connect() as wire:
        wire.send("GET / HTTP/1.0")
        found = await wire.read()
        assert (found.body, found.get("transfer-encoding"), found.get("connection")) == (
            b"abcabcabc",
            None,
            "close",
        )


async def test_http_1_0_gets_a_whole_answer(path: str) -> None:
    async with serve(echo) as site, site.connect() as wire:
        # It does not know 100.
        wire.send(f"GET {path} HTTP/1.0", "Expect: 100-continue")
        found = await wire.read()
        assert (json.loads(found.body)["version"], found.get("connection")) == ("1.0", "close")
        assert await wire.read_end() == b""


async def test_100_continue_comes_when_the_body_is_wanted(path: str) -> None:
    async with serve(echo) as site, site.connect() as wire:
        wire.send(f"POST {path} HTTP/1.1", "Host: x", "Content-Length: 4", "Expect: 100-continue")
        assert (await wire.read()).status == 100
        wire.writer.write(b"body")
        assert json.loads((await wire.read()).body)["body"] == "body"
        wire.send(f"GET {path} HTTP/1.1", "Host: x")
        assert (await wire.read()).status == 200


async def test_refusal_before_100_continue_ends_the_connection(path: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, send, 413, [(b"content-length", b"0")], b"")

    async with serve(app) as site, site.connect() as wire:
        wire.send(f"POST {path} HTTP/1.1", "Host: x", "Content-Length: 4", "Expect: 100-continue")
        found = await wire.read()
        # The server cannot know whether what comes next is the body or the next request.
        assert (found.status, found.get("connection")) == (413, "close")
        assert await wire.read_end() == b""


async def test_answer_before_the_end_of_a_body_leaves_the_connection_in_step(path: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            await answer(scope, send, 413, [(b"content-length", b"0")], b"")
        else:
            await echo(scope, receive, send)

    size = 300_000
    async with serve(app) as site, site.connect() as wire:
        wire.send(f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {size}", body=b"GET / HTTP/1.1\r\n\r\n")
        assert (await wire.read()).status == 413
        wire.writer.write(b"x" * (size - 18))
        wire.send(f"GET {path}?next HTTP/1.1", "Host: x")
        assert json.loads((await wire.read()).body)["query"] == "next"


async def test_large_body_is_read_only_as_the_app_takes_it() -> None:
    go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await echo(scope, receive, send)

    body = b"x" * 8_000_000
    async with serve(app) as site, site.connect() as wire:
        wire.send("POST / HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", body=body)
        await asyncio.sleep(0.1)
        # The system's buffers take some of it, the server stops at its limit.
        assert wire.writer.transport.get_write_buffer_size() > 1_000_000
        go.set()
        assert len(json.loads((await wire.read()).body)["body"]) == len(body)


async def test_garbage_behind_a_request_waits_for_its_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.02)
        await echo(scope, receive, send)

    async with serve(app) as site, site.connect() as wire:
        wire.send("GET /first HTTP/1.1", "Host: x")
        wire.send("GET /second HTTP/1.1", "Host: x")
        wire.send("no request at all")
        first, second = await wire.read(), await wire.read()
        assert [json.loads(found.body)["path"] for found in (first, second)] == ["/first", "/second"]
        assert second.get("connection") == "close"
        assert await wire.read_end() == b""


@pytest.mark.parametrize("field", [(b"x", b"a\r\nset-cookie: b"), (b"x", b"a\nb"), (b"x", b"a\rb"), (b"x", b"\0")])
async def test_field_that_would_end_early_is_not_sent(path: str, field: tuple[bytes, bytes]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(scope, send, 200, [(b"content-length", b"2"), field], b"ok")

    async with serve(app) as site, site.connect() as wire:
        wire.send(f"GET {path} HTTP/1.1", "Host: x")
        found = await wire.read()
        assert (found.status, found.body, found.get("x")) == (500, b"Internal Server Error", None)
        assert found.get("set-cookie") is None
        assert await wire.read_end() == b""


async def test_app_that_names_both_a_length_and_chunks_sends_the_length() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"Content-Length", b"2"), (b"Transfer-Encoding", b"chunked"), (b"content-length", b"9")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"ok"})

    async with serve(app) as site, site.connect() as wire:
        wire.send(*HELLO)
        found = await wire.read()
        assert (found.body, found.get("content-length"), found.get("transfer-encoding")) == (b"ok", "2", None)


@pytest.mark.parametrize("body", [b"too long", b"s"])
async def test_content_that_belies_its_length_ends_the_connection(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": body})

    async with serve(app) as site, site.connect() as wire:
        wire.send(*HELLO)
        assert (await wire.read_end()).endswith(b"content-length: 3\r\n\r\n")
    assert "content-length" in caplog.text
