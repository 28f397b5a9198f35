"""Binding ports, with an error that names the next free one."""

from __future__ import annotations

import errno
import socket

from nitro_py.errors import UsageError

# How many ports after a busy one are tried for the hint.
PORTS_TRIED = 100


def bind_port(host: str, port: int, *, setting: str = "--port") -> socket.socket:
    """Bind a TCP port.

    Args:
        host: The address or name to listen on.
        port: The port; 0 takes a free one.
        setting: What the hint tells to change.

    Raises:
        UsageError: The port is busy (the hint names the next free one), not allowed, or the host is unknown.

    Example:
        >>> bind_port("127.0.0.1", 0).close()
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"`{port}` is no port: expected 0 to 65535.", hint=f"Change `{setting}`.")
    try:
        return _bind(host, port)
    except socket.gaierror:
        raise UsageError(f"The host `{host}` is unknown.", hint="Listen on 127.0.0.1 or 0.0.0.0.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            free = find_free_port(host, port + 1)
            hint = f"Use `{setting} {free}`, which is free." if free else f"Change `{setting}`."
            raise UsageError(f"Port {port} on {host} is busy.", hint=hint) from None
        reason = error.strerror or str(error)
        raise UsageError(f"Cannot listen on {host}:{port}: {reason}.", hint=f"Change `{setting}`.") from None


def find_free_port(host: str, port: int) -> int | None:
    """Return the first free port from one on, if there is one near."""
    for candidate in range(port, min(port + PORTS_TRIED, 65536)):
        try:
            _bind(host, candidate).close()
        except OSError:
            continue
        return candidate
    return None


def format_url(listener: socket.socket) -> str:
    """Write the URL of a bound socket, as one types it into a browser."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # A restart must not wait for the old connections' TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener
