"""Answers that come piece by piece."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nitro_py.event import Event
from nitro_py.headers import Headers
from nitro_py.runtime.streams import send_chunks
from tests.runtime.wire import HELLO, PATIENCE, serve

pytestmark = pytest.mark.anyio


async def test_generator_that_blocks_while_its_client_leaves_cleans_up(caplog: pytest.LogCaptureFixture) -> None:
    blocked, released, cleaned = threading.Event(), threading.Event(), threading.Event()
    done = asyncio.Event()

    def chunks() -> Iterator[str]:
        try:
            yield "first"
            blocked.set()
            released.wait(PATIENCE)
            yield "second"
        finally:
            cleaned.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        event = Event(scope, receive, params={}, wait_until=lambda work: None, max_body=0)
        await send_chunks(chunks(), lambda: (200, Headers()), event, receive, send)
        done.set()

    async with serve(app) as site:
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
