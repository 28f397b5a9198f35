"""Ports for what has to know its port before it listens."""

from __future__ import annotations

import random
import socket

# Below those that systems give to outgoing connections and to port 0: what runs meanwhile takes none of these.
LOWEST = 20_000
HIGHEST = 29_999


def find_port(host: str = "127.0.0.1") -> int:
    """Return a port of an address that no process listens on.

    Args:
        host: The address.

    Returns:
        One of many, so that tests which run side by side don't meet.
    """
    with listen_somewhere(host) as listener:
        port: int = listener.getsockname()[1]
    return port


def listen_somewhere(host: str = "127.0.0.1") -> socket.socket:
    """Listen on a port that `find_port` may return."""
    for port in random.sample(range(LOWEST, HIGHEST), 100):
        try:
            return socket.create_server((host, port))
        except OSError:
            continue
    raise AssertionError(f"No port of {host} from {LOWEST} to {HIGHEST} is free.")
