"""Reading an HTTP request: its parser, and its ASGI scope (ASGI specification, HTTP 2.3)."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import unquote

import httptools

from nitro_py.runtime.asgi.fields import names_host

# Names and passwords have no place there (RFC 9110, section 4.2.4).
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)(/[^?#]*)?((?:[?#].*)?)", re.IGNORECASE)


def describe_connection(transport: asyncio.Transport) -> dict[str, Any]:
    """Gives what the scopes of all of a connection's requests have in common."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "server": _read_address(transport.get_extra_info("sockname")),
        "client": _read_address(transport.get_extra_info("peername")),
        "scheme": "http" if transport.get_extra_info("sslcontext") is None else "https",
        "root_path": "",
    }


def resolve_target(
    method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Gives a target that is no path as a path, and the header with the host that it names.

    Args:
        method: The method.
        target: What was asked for: a whole URL, or the server itself, `*` (RFC 9112, section 3.2).
        headers: The header fields, with names in lower case.

    Raises:
        ValueError: The target is neither.

    Example:
        >>> resolve_target(b"GET", b"http://a.test/b?c", [(b"host", b"x")])
        (b'/b?c', [(b'host', b'a.test')])
    """
    if target == b"*" and method == b"OPTIONS":
        return target, headers
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise ValueError(f"Expected a path or a URL, got {target!r}.")
    host, path, query = found.groups()
    if not names_host(host, "1.1"):
        raise ValueError(f"Expected a host, got {host!r}.")
    # The client's own words about the host do not count then (section 3.2.2).
    others = [field for field in headers if field[0] != b"host"]
    return (path or b"/") + query, [(b"host", host), *others]


def make_scope(
    base: dict[str, Any], method: str, version: str, target: bytes, headers: list[tuple[bytes, bytes]]
) -> dict[str, Any]:
    """Makes a request's scope.

    Args:
        base: What `describe_connection` gave.
        method: The method.
        version: HTTP's version, such as `1.1`.
        target: What was asked for, as the client wrote it.
        headers: The header fields, with names in lower case.

    Raises:
        httptools.HttpParserInvalidURLError: The target is none.
    """
    url = httptools.parse_url(target)
    path = url.path.decode("ascii")
    return {
        **base,
        "http_version": version,
        "method": method,
        "path": unquote(path) if "%" in path else path,
        "raw_path": url.path,
        "query_string": url.query or b"",
        "headers": headers,
    }


def make_parser(protocol: object) -> Any:
    """Makes what parses a connection's requests and calls its protocol."""
    parser = httptools.HttpRequestParser(protocol)
    # Otherwise bytes behind a last request would be an error before that request is answered.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _read_address(address: Any) -> tuple[str, int] | None:
    # A Unix socket has a path, and IPv6 says more than address and port.
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None
