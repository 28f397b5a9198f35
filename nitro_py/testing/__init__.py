"""Testing handlers in this process; `nitro_py.testing.conformance` holds the suite that every target passes."""

from __future__ import annotations

from nitro_py.testing.answers import Closed, SocketClosed, TestResponse, UpgradeRefused
from nitro_py.testing.client import Client, client
from nitro_py.testing.events import ServerEvent
from nitro_py.testing.sockets import TestSocket
from nitro_py.testing.streams import TestStream

__all__ = [
    "Client",
    "Closed",
    "ServerEvent",
    "SocketClosed",
    "TestResponse",
    "TestSocket",
    "TestStream",
    "UpgradeRefused",
    "client",
]
