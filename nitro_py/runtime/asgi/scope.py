"""Reading an HTTP request: its parser, and its ASGI scope (ASGI specification, HTTP 2.3)."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import httptools


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
