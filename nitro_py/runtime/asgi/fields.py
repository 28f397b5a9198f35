"""The lines of an HTTP answer's head."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus

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
    """Checks that a header field cannot be read as more than one.

    Raises:
        RuntimeError: It could be.
    """
    if _NAME.fullmatch(name) is None or _NO_VALUE.search(value) is not None:
        raise RuntimeError(f"The header field {name!r} cannot be sent: its name or value holds what ends a field.")


def read_length(value: bytes) -> int:
    """Reads a `content-length` (RFC 9110, section 8.6).

    Raises:
        RuntimeError: It is none.
    """
    if not value.isdigit():
        raise RuntimeError(f"The answer has the `content-length` {value!r}: expected digits.")
    return int(value)


def encode_checked(fields: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, int | None, bool]:
    """Writes an application's fields as lines, but for what is the server's to say.

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
    """Writes header fields as lines."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def encode_default(fields: _Fields) -> tuple[bytes, bool]:
    """Writes the fields of every answer as lines, and says whether they end the connection.

    uvicorn puts a new list of them there every second, and a stop adds to it.
    """
    global _default
    if fields is not _default[0] or len(fields) != _default[1]:
        kept = [field for field in fields if field != _CLOSE]
        _default = (fields, len(fields), encode_fields(kept), len(kept) < len(fields))
    return _default[2:]


def encode_refusal(status: int, text: str, default: _Fields) -> bytes:
    """Writes the whole answer to what is no HTTP request, or asks for too much; nothing follows it."""
    fields = [
        *(field for field in default if field != _CLOSE),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(text)),
        _CLOSE,
    ]
    return b"%b%b\r\n%b" % (STATUS_LINES[status], encode_fields(fields), text.encode())


def names_host(value: bytes | None, version: str) -> bool:
    """Says whether a request names its host as it must (RFC 9112, section 3.2).

    Args:
        value: What its field `Host` holds, which may be nothing; `None` if it has no such field.
        version: HTTP's version.

    Example:
        >>> names_host(b"a.test:80", "1.1"), names_host(b"a.test/", "1.1"), names_host(None, "1.0")
        (True, False, True)
    """
    return version != "1.1" if value is None else _HOST.fullmatch(value) is not None


def wants_socket(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Says whether a request's fields, with names in lower case, ask for a WebSocket (RFC 6455, section 4.1).

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
