"""The check of a handshake's origin, which keeps scripts of other sites away (RFC 6455, section 10.2)."""

from __future__ import annotations

import logging
import re

from nitro_py.headers import Headers

logger = logging.getLogger("nitro_py.websocket")

WEB_SCHEMES = frozenset({"http", "https"})
# The schemes of URLs whose pages have no origin, or none that keeps them apart.
NO_ORIGIN = frozenset({"about", "blob", "data", "file", "ftp", "javascript"})
DEFAULT_PORTS = {"http": 80, "https": 443}
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")


def check_origin(headers: Headers, allowed: tuple[str, ...], *, development: bool) -> bool:
    """Return whether a handshake's `Origin` may open a socket, and log a refusal.

    Args:
        headers: The handshake's header fields. Without `Origin` it does not come from a browser, and passes; of
            several origins each must be allowed.
        allowed: The setting `websocket.allowed_origins`: who may besides the app's own host.
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
    scheme, name, _ = place
    if scheme in WEB_SCHEMES:
        if development and (name.strip("[]") in LOOPBACK_HOSTS or name.endswith(".localhost")):
            return True
        if place == _parse_origin(f"{scheme}://{host}"):
            return True
    return any(_matches(pattern, place) for pattern in allowed)


def _matches(pattern: str, place: tuple[str, str, int | None]) -> bool:
    if pattern == "*":
        return True
    scheme, name, port = place
    wanted, found, host = pattern.rpartition("://")
    if not found:
        # `*.example.com`: any port, and what the network cannot change.
        return scheme == "https" and name.endswith(host[1:])
    if host.startswith("*."):
        parsed = _parse_origin(f"{wanted}://{host[2:]}")
        return parsed is not None and (scheme, port) == (wanted, parsed[2]) and name.endswith(f".{parsed[1]}")
    return place == _parse_origin(pattern)


def _parse_origin(origin: str) -> tuple[str, str, int | None] | None:
    """Return the scheme, host and port of an origin (RFC 6454, section 6.1); `None` if it is none."""
    found = ORIGIN.fullmatch(origin.lower())
    if found is None or found[1] in NO_ORIGIN:
        return None
    port = int(found[3]) if found[3] else DEFAULT_PORTS.get(found[1])
    return found[1], found[2], port
