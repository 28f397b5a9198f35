"""Answers that come piece by piece."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from nitro_py.event import Event
from nitro_py.headers import Headers
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.http.streaming import send_chunks
from tests.server.http.wire import HELLO, PATIENCE, serve

pytestmark = pytest.mark.anyio


def make_app(chunks: Callable[[Event], Any], done: asyncio.Event | None = None) -> ASGIApplication:
    """Make an application that answers with what is made of a request piece by piece."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        event = Event(scope, receive, params={}, wait_until=lambda work: None, max_body=1000)
        await send_chunks(chunks(event), lambda: (200, Headers()), event, receive, send)
        if done is not None:
            done.set()

    return app


@pytest.mark.parametrize("late", [False, True])
async def test_body_is_left_to_the_stream_that_reads_it(late: bool) -> None:
    async def chunks(event: Event) -> AsyncIterator[bytes]:
        yield b"got "
        yield await event.body()

    async with serve(make_app(chunks)) as site, site.connect() as wire:
        wire.send("POST / HTTP/1.1", "Host: x", "Content-Length: 3", body=b"" if late else b"abc")
        if late:
            await wire.reader.readuntil(b"got ")
            wire.writer.write(b"abc")
            assert b"abc" in await asyncio.wait_for(wire.reader.readuntil(b"0\r\n\r\n"), PATIENCE)
        else:
            assert (await wire.read()).body == b"got abc"


@pytest.mark.parametrize("chunk", [3, True, [1, 2], None, {1: 2}])
async def test_chunk_that_is_neither_text_nor_bytes_is_an_error(
    chunk: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def chunks(event: Event) -> AsyncIterator[object]:
        if event.query.get("late"):
            yield b"first"
        yield chunk

    async with serve(make_app(chunks)) as site:
        async with site.connect() as wire:
            wire.send("GET / HTTP/1.1", "Host: x")
            assert (await wire.read()).status == 500
        async with site.connect() as wire:
            wire.send("GET /?late=1 HTTP/1.1", "Host: x")
            sent = await asyncio.wait_for(wire.reader.read(), PATIENCE)
            assert sent.endswith(b"5\r\nfirst\r\n"), "the answer neither goes on nor has an end"
    assert f"A piece of an answer is a `{type(chunk).__name__}`: expected text or bytes" in caplog.text


async def test_client_that_leaves_before_its_body_is_read_ends_the_stream() -> None:
    ended = asyncio.Event()

    async def chunks(event: Event) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.sleep(PATIENCE)
        finally:
            ended.set()

    async with serve(make_app(chunks)) as site:
        async with site.connect() as wire:
            wire.send("POST / HTTP/1.1", "Host: x", "Content-Length: 3", body=b"a")
            await wire.reader.readuntil(b"first")
        async with asyncio.timeout(PATIENCE / 2):
            await ended.wait()


async def test_generator_that_blocks_while_its_client_leaves_cleans_up(caplog: pytest.LogCaptureFixture) -> None:
    blocked, released, cleaned = threading.Event(), threading.Event(), threading.Event()
    done = asyncio.Event()

    def chunks(event: Event) -> Iterator[str]:
        try:
            yield "first"
            blocked.set()
            released.wait(PATIENCE)
            yield "second"
        finally:
            cleaned.set()

    async with serve(make_app(chunks, done)) as site:
        async with site.connect() as wire:
            wire.send(*HELLO)
            await wire.reader.readuntil(b"first")
            assert await asyncio.to_thread(blocked.wait, PATIENCE)
        await asyncio.sleep(0.05)
        assert not cleaned.is_set()
        released.set()
        async with asyncio.timeout(PATIENCE):
            await done.wait()
    assert cleaned.is_set()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
