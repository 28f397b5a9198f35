"""Ports for what has to know its port before it listens."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from functools import cache

# Below those that systems give to outgoing connections and to port 0: what runs meanwhile takes none of these.
LOWEST = 20_000
HIGHEST = 29_999


def find_port(host: str = "127.0.0.1") -> int:
    """Return a port of an address that no process listens on, and that no other test of this run is given.

    Args:
        host: The address.
    """
    with listen_somewhere(host) as listener:
        port: int = listener.getsockname()[1]
    return port


def listen_somewhere(host: str = "127.0.0.1") -> socket.socket:
    """Listen on a port that `find_port` may return."""
    for port in own_ports():
        try:
            return socket.create_server((host, port))
        except OSError:
            continue
    raise AssertionError(f"No port of {host} from {LOWEST} to {HIGHEST} is left.")


@cache
def own_ports() -> Iterator[int]:
    """Return the ports that are left to this process, in random order: other runs may look for some, too."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    place = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = (HIGHEST - LOWEST) // count
    share = range(LOWEST + place * size, LOWEST + (place + 1) * size)
    return iter(random.sample(share, len(share)))
