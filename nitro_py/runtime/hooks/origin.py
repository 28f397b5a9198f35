"""The check of a handshake's origin, which keeps scripts of other sites away (RFC 6455, section 10.2)."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from nitro_py.headers import Headers

logger = logging.getLogger("nitro_py.websocket")

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


def check_origin(headers: Headers, allowed: tuple[str, ...], *, development: bool) -> bool:
    """Return whether a handshake's `Origin` may open a socket, and log a refusal.

    Args:
        headers: The handshake's header fields. Without `Origin` it does not come from a browser, and passes; of
            several origins each must be allowed.
        allowed: The setting `websocket.allowed_origins`; if it is empty, only the same host may.
        development: Whether origins of loopback hosts may, too.

    Example:
        >>> check_origin(Headers({"origin": "https://a.test", "host": "a.test"}), (), development=False)
        True
    """
    host = headers.get("host", "")
    refused = [origin for origin in headers.getlist("origin") if not _passes(origin, host, allowed, development)]
    if not refused:
        return True
    logger.warning(
        "Refused a socket from origin %s to host %s: add the origin to `websocket.allowed_origins` to allow it.",
        refused[0],
        host,
    )
    return False


def _passes(origin: str, host: str, allowed: tuple[str, ...], development: bool) -> bool:
    place = _parse_origin(origin)
    if place is None:
        # Sandboxed pages send "null", which only the wildcard matches.
        return "*" in allowed
    scheme, name, port = place
    if development and (name in LOOPBACK_HOSTS or name.endswith(".localhost")):
        return True
    if not allowed:
        return (name, port) == _parse_host(host, scheme)
    return any(_matches(pattern, place) for pattern in allowed)


def _matches(pattern: str, place: tuple[str, str, int | None]) -> bool:
    if pattern == "*":
        return True
    scheme, name, port = place
    if "://" in pattern:
        wanted, _, rest = pattern.partition("://")
        host, wanted_port = _parse_host(rest, wanted)
        if (wanted, wanted_port) != (scheme, port):
            return False
    else:
        host = pattern
    return name.endswith(host[1:]) if host.startswith("*.") else name == host


def _parse_origin(origin: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or not parts.scheme:
        return None
    return parts.scheme, parts.hostname, port or DEFAULT_PORTS.get(parts.scheme)


def _parse_host(host: str, scheme: str) -> tuple[str, int | None]:
    place = _parse_origin(f"{scheme}://{host}")
    return (place[1], place[2]) if place else ("", None)
