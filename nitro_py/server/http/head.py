"""The lines of an HTTP answer's head."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

# The fields that uvicorn's middleware looks for, in every request and at the client's address first.
PROXY_FIELDS = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})


def unwrap(app: Any) -> tuple[Any, Any]:
    """Return the application for requests without and with a proxy's fields.

    Args:
        app: The application as uvicorn has it, which wraps it unless it was told not to.
    """
    return (app.app if type(app) is ProxyHeadersMiddleware else app), app


# What stands in for the answer of an application that gives none.
FAILED = b"Internal Server Error"
FAILED_FIELDS = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"%d" % len(FAILED)),
    (b"connection", b"close"),
)

_Fields = list[tuple[bytes, bytes]]
_CLOSE = (b"connection", b"close")
_default: tuple[_Fields, int, bytes, bool] = ([], 0, b"", False)

# What ends a field's name or value begins whatever its author likes (RFC 9110, section 5).
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NO_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# A host is a name, or an address of version 6 in brackets, and may have a port (RFC 3986, section 3.2.2). The
# parser leaves the space behind it.
_HOST = re.compile(rb"(?:\[[\w:.%~-]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?[ \t]*")


def _make_status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


STATUS_LINES = {status: _make_status_line(status) for status in range(100, 600)}


def check_field(name: bytes, value: bytes) -> None:
    """Check that a header field cannot be read as more than one.

    Raises:
        RuntimeError: It could be.
    """
    if _NAME.fullmatch(name) is None or _NO_VALUE.search(value) is not None:
        raise RuntimeError(f"The header field {name!r} cannot be sent: its name or value holds what ends a field.")


def read_length(value: bytes) -> int:
    """Read a `content-length` (RFC 9110, section 8.6).

    Raises:
        RuntimeError: It is none.
    """
    if not value.isdigit():
        raise RuntimeError(f"The answer has the `content-length` {value!r}: expected digits.")
    return int(value)


def encode_checked(fields: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, int | None, bool]:
    """Write an application's fields as lines, but for what is the server's to say.

    Returns:
        The lines, the content's length if it is named, and whether the fields end the connection.

    Raises:
        RuntimeError: A field cannot be sent.
    """
    lines: list[bytes] = []
    length: int | None = None
    closes = False
    for name, value in fields:
        check_field(name, value)
        name = name.lower()
        if name == b"transfer-encoding" or (name == b"content-length" and length is not None):
            # Whether there are chunks is ours to say, and a second length could only contradict the first.
            continue
        if name == b"content-length":
            length = read_length(value)
        elif name == b"connection" and b"close" in [token.strip() for token in value.lower().split(b",")]:
            closes = True
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines), length, closes


def encode_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write header fields as lines."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def encode_default(fields: _Fields) -> tuple[bytes, bool]:
    """Write the fields of every answer as lines, and say whether they end the connection.

    uvicorn puts a new list of them there every second, and a stop adds to it.
    """
    global _default
    if fields is not _default[0] or len(fields) != _default[1]:
        kept = [field for field in fields if field != _CLOSE]
        _default = (fields, len(fields), encode_fields(kept), len(kept) < len(fields))
    return _default[2:]


def encode_refusal(status: int, text: str, default: _Fields) -> bytes:
    """Write the whole answer to what is no HTTP request, or ask for too much; nothing follows it."""
    fields = [
        *(field for field in default if field != _CLOSE),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(text)),
        _CLOSE,
    ]
    return b"%b%b\r\n%b" % (STATUS_LINES[status], encode_fields(fields), text.encode())


def names_host(value: bytes | None, version: str) -> bool:
    """Return whether a request names its host as it must (RFC 9112, section 3.2).

    Args:
        value: What its field `Host` holds, which may be nothing; `None` if it has no such field.
        version: HTTP's version.

    Example:
        >>> names_host(b"a.test:80", "1.1"), names_host(b"a.test/", "1.1"), names_host(None, "1.0")
        (True, False, True)
    """
    return version != "1.1" if value is None else _HOST.fullmatch(value) is not None


def wants_socket(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a request's fields, with names in lower case, ask for a WebSocket (RFC 6455, section 4.1).

    One with content does not: a handshake has none, and what came as content is nothing for a socket.
    """
    tokens: list[bytes] = []
    upgrades: list[bytes] = []
    for name, value in fields:
        if name == b"connection":
            tokens += [token.strip() for token in value.lower().split(b",")]
        elif name == b"upgrade":
            upgrades += [token.strip() for token in value.lower().split(b",")]
        elif name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")):
            return False
    return b"upgrade" in tokens and b"websocket" in upgrades


# Names and passwords have no place there (RFC 9110, section 4.2.4).
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)(/[^?#]*)?((?:[?#].*)?)", re.IGNORECASE)


def describe_connection(transport: asyncio.Transport) -> dict[str, Any]:
    """Return what the scopes of all of a connection's requests have in common."""
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
    """Return a target that is no path as a path, and the header with the host that it names.

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
    """Make a request's scope.

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
    """Make what parses a connection's requests and call its protocol."""
    parser = httptools.HttpRequestParser(protocol)
    # Otherwise bytes behind a last request would be an error before that request is answered.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def _read_address(address: Any) -> tuple[str, int] | None:
    # A Unix socket has a path, and IPv6 says more than address and port.
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None
