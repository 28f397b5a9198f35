"""What a browser would do with the pages of `nitropy dev`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

# How long a change may take to be served, in seconds.
PATIENCE = 60.0

Found = TypeVar("Found")


def find_live_reload(page: str) -> str:
    """Return the URL of the live-reload socket that a page's script opens."""
    port, path = re.findall(r":(\d+)` \+ (\".*\")\)", page)[0]
    return f"ws://127.0.0.1:{port}{json.loads(path)}"


def watch_page(url: str) -> ClientConnection:
    """Open a page, and the live-reload socket of its script."""
    return open_live_reload(httpx.get(url), url)


def open_live_reload(page: httpx.Response, origin: str) -> ClientConnection:
    """Open the live-reload socket of a page's script."""
    return connect(find_live_reload(page.text), origin=Origin(origin))


def hear(socket: ClientConnection) -> Any:
    """Return the next live-reload message."""
    return json.loads(socket.recv(PATIENCE))


def wait_for(look: Callable[[], Found]) -> Found:
    """Wait until a look finds something, and return it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, "It has not come true in time."
        time.sleep(0.02)
    return found
