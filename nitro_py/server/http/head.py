"""The head of a request and of its answer: what the client's says, and the lines of ours."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import httptools

from nitro_py.headers import FIELD_NAME, NOT_IN_FIELD_VALUE

# A header field: its name and its value, as ASGI has them.
Field = tuple[bytes, bytes]

# A field's name, and what cannot stand in its value (RFC 9110, sections 5.1 and 5.5): what ends a name or a value
# could begin another field.
_NAME: Final = re.compile(FIELD_NAME.encode())
_NOT_IN_VALUE: Final = re.compile(NOT_IN_FIELD_VALUE.encode())
# A host is a name, or an address of version 6 in brackets, and may have a port (RFC 3986, section 3.2.2). The
# parser leaves the space behind it.
_HOST: Final = re.compile(rb"(?:\[[\w:.%~-]+\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?[ \t]*")
# A URL as a target; user names and passwords have no place in it (RFC 9110, section 4.2.4).
_ABSOLUTE: Final = re.compile(rb"https?://([^/?#@]+)(/[^?#]*)?((?:[?#].*)?)", re.IGNORECASE)


def _make_status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


# Looked up rather than made (row `http`).
STATUS_LINES: Final = {status: _make_status_line(status) for status in range(100, 600)}

CLOSE: Final = (b"connection", b"close")
PLAIN_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
# The answer in place of an application's that gives none.
FAILED: Final = b"Internal Server Error"
FAILED_FIELDS: Final = (PLAIN_TEXT, (b"content-length", b"%d" % len(FAILED)), CLOSE)


# What a request says.


def make_parser(protocol: object) -> Any:
    """Return a parser of a connection's requests, which calls the methods of its protocol."""
    parser = httptools.HttpRequestParser(protocol)
    # Otherwise bytes behind a last request would be an error before that request is answered.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def describe_connection(transport: asyncio.Transport) -> dict[str, Any]:
    """Return what the ASGI scopes of all of a connection's requests have in common."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "server": read_address(transport.get_extra_info("sockname")),
        "client": read_address(transport.get_extra_info("peername")),
        "scheme": "http" if transport.get_extra_info("sslcontext") is None else "https",
        "root_path": "",
    }


def read_address(address: Any) -> tuple[str, int] | None:
    """Return the host and the port of a socket's address, as an ASGI scope has them; `None` for a Unix socket."""
    # IPv6 says more than address and port.
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else None


def make_scope(
    base: dict[str, Any], method: str, version: str, target: bytes, headers: list[Field]
) -> dict[str, Any]:
    """Return a request's ASGI scope.

    Args:
        base: What `describe_connection` returned.
        method: The method.
        version: The version of HTTP, such as `1.1`.
        target: The target, as the client wrote it.
        headers: The header fields, with names in lower case.

    Raises:
        httptools.HttpParserInvalidURLError: The target is no URL and no path.
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


def names_host(value: bytes | None, version: str) -> bool:
    """Return whether a request names its host as it must (RFC 9112, section 3.2).

    Args:
        value: The value of its field `Host`, which may be empty; `None` if it has no such field.
        version: The version of HTTP.

    Example:
        >>> names_host(b"a.test:80", "1.1"), names_host(b"a.test/", "1.1"), names_host(None, "1.0")
        (True, False, True)
    """
    return version != "1.1" if value is None else _HOST.fullmatch(value) is not None


def resolve_target(method: bytes, target: bytes, headers: list[Field]) -> tuple[bytes, list[Field]]:
    """Return a target that is no path as a path, and the header with the host that it names.

    Args:
        method: The method.
        target: A whole URL, or `*` for the server itself (RFC 9112, section 3.2).
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
    # The client's own field `Host` does not count then (section 3.2.2).
    others = [field for field in headers if field[0] != b"host"]
    return (path or b"/") + query, [(b"host", host), *others]


def wants_websocket(fields: Iterable[Field]) -> bool:
    """Return whether a request's fields, with names in lower case, ask for a WebSocket (RFC 6455, section 4.1).

    A request with content does not: a handshake has none, and a WebSocket cannot read it.
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


# The lines of an answer.


def check_field(name: bytes, value: bytes) -> None:
    """Check that a header field cannot be read as more than one.

    Raises:
        RuntimeError: It can be.
    """
    if _NAME.fullmatch(name) is None or _NOT_IN_VALUE.search(value) is not None:
        raise RuntimeError(f"The header field {name!r} cannot be sent: its name or value holds what ends a field.")


def read_length(value: bytes) -> int:
    """Read a `content-length`, in bytes (RFC 9110, section 8.6).

    Raises:
        RuntimeError: It is no number.
    """
    if not value.isdigit():
        raise RuntimeError(f"The answer has the `content-length` {value!r}: expected digits.")
    return int(value)


def encode_fields(fields: Iterable[Field]) -> bytes:
    """Write header fields as lines."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def encode_checked(fields: Iterable[Field]) -> tuple[bytes, int | None, bool]:
    """Write an application's fields as lines, without those that only the server may send.

    Returns:
        The lines, the content's length in bytes if it is named, and whether the fields end the connection.

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
            # The server decides about chunks, and a second length could only contradict the first.
            continue
        if name == b"content-length":
            length = read_length(value)
        elif name == b"connection" and b"close" in [token.strip() for token in value.lower().split(b",")]:
            closes = True
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines), length, closes


# The lines of fields that many answers have, which are safe: to write and check one anew costs more than to look
# it up (row `http`). How many are kept, and how long a value of theirs may be; other fields may be secret.
KEPT_LINES: Final[dict[Field, bytes]] = {}
MAX_KEPT_LINES: Final = 512
MAX_KEPT_VALUE: Final = 64


def write_safe_line(field: Field) -> bytes | None:
    """Write a field that many answers have as a line, and keep it; `None` for others, which are to be checked."""
    name, value = field
    if name == b"content-length":
        if not value.isdigit():
            return None
    elif name != b"content-type" or len(value) > MAX_KEPT_VALUE or _NOT_IN_VALUE.search(value) is not None:
        return None
    line = b"%b: %b\r\n" % field
    if len(KEPT_LINES) < MAX_KEPT_LINES and len(value) <= MAX_KEPT_VALUE:
        KEPT_LINES[field] = line
    return line


def check_lines(lines: list[bytes]) -> None:
    """Check that the lines of an answer's head are as many as they look.

    Counting line breaks costs less than a pattern for each field (row `http`).

    Args:
        lines: The status line, the lines of the default fields as one item, and a line for each other field.

    Raises:
        ValueError: A field holds a line break or a NUL.
    """
    head = b"".join(lines)
    count = len(lines) - 1 + lines[1].count(b"\n")
    if head.count(b"\n") != count or head.count(b"\r") != count or b"\0" in head:
        raise ValueError("A header field holds a line break or a NUL.")


# The last default fields, how many there were, their lines, and whether they end the connection.
_default: tuple[list[Field], int, tuple[bytes, bool]] = ([], 0, (b"", False))


def encode_default(fields: list[Field]) -> tuple[bytes, bool]:
    """Write the fields of every answer as lines, and tell whether they end the connection.

    uvicorn makes a new list of them every second, and a stop adds to it: the lines of the last one are kept until
    then (row `http`).
    """
    global _default
    if fields is not _default[0] or len(fields) != _default[1]:
        kept = [field for field in fields if field != CLOSE]
        _default = (fields, len(fields), (encode_fields(kept), len(kept) < len(fields)))
    return _default[2]


def encode_refusal(status: int, text: str, default: list[Field]) -> bytes:
    """Write the whole answer to a request that the app does not get to see; nothing follows it."""
    fields = [
        *(field for field in default if field != CLOSE),
        PLAIN_TEXT,
        (b"content-length", b"%d" % len(text)),
        CLOSE,
    ]
    return b"%b%b\r\n%b" % (STATUS_LINES[status], encode_fields(fields), text.encode())
