"""Tests of handlers in this process.

Example:
    from nitro_py.testing import client

    async def test_hello() -> None:
        async with client() as app:
            answer = await app.get("/api/hello")
            assert answer.json() == {"message": "hello"}

`nitro_py.testing.conformance` is the suite for presets and servers, `nitro_py.testing.backplanes` that
for backplanes.
"""

from __future__ import annotations

from nitro_py.testing.answers import Closed, RedirectError, SocketClosed, TestResponse, UpgradeRefused
from nitro_py.testing.client import Client, client
from nitro_py.testing.cookies import Cookies
from nitro_py.testing.events import ServerEvent
from nitro_py.testing.requests import RequestOptions
from nitro_py.testing.sockets import TestSocket
from nitro_py.testing.streams import TestStream

__all__ = [
    "Client",
    "Closed",
    "Cookies",
    "RedirectError",
    "RequestOptions",
    "ServerEvent",
    "SocketClosed",
    "TestResponse",
    "TestSocket",
    "TestStream",
    "UpgradeRefused",
    "client",
]
