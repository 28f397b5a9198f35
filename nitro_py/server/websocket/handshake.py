"""The opening handshake: RFC 6455, section 4.2."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from nitro_py.errors import NitroError
from nitro_py.server.http.head import STATUS_LINES, Field, check_field, encode_fields

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
VERSION: Final = b"13"
KEY_LENGTH: Final = 16


class HandshakeError(NitroError):
    """A request that is no handshake.

    Args:
        status: The HTTP status of the answer.
        message: What was expected, and what came.
        fields: Header fields of the answer.
    """

    def __init__(self, status: int, message: str, fields: Iterable[Field] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.fields = list(fields)


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """A request that asks for a WebSocket, with what it offers.

    Args:
        target: The path and the query, as the client wrote them.
        fields: The header fields, their names in lower case.
        key: The client's `Sec-WebSocket-Key`.
    """

    target: bytes
    fields: list[Field]
    key: bytes

    def offers(self, name: bytes) -> list[str]:
        """Return the items of a comma-separated field, in order."""
        values = (value.decode("latin-1") for key, value in self.fields if key == name)
        return [item.strip() for value in values for item in value.split(",")]


def read_request(head: bytes) -> UpgradeRequest:
    """Read the head of a request that an HTTP parser has found to be well formed.

    Raises:
        HandshakeError: The request is no handshake of version 13.
    """
    line, *lines = head.split(b"\r\n")
    method, target, _ = line.split(b" ", 2)
    pairs = (line.partition(b":") for line in lines if line)
    fields = [(name.lower(), value.strip()) for name, _, value in pairs]
    named = dict(fields)
    if method != b"GET":
        raise HandshakeError(400, f"Expected GET, got {method.decode('latin-1')}.")
    if b"host" not in named:
        raise HandshakeError(400, "Expected a `Host` field, got none.")
    version = named.get(b"sec-websocket-version", b"")
    if version != VERSION:
        message = f"Expected `Sec-WebSocket-Version: 13`, got `{version.decode('latin-1')}`."
        raise HandshakeError(426, message, [(b"sec-websocket-version", VERSION), (b"upgrade", b"websocket")])
    key = named.get(b"sec-websocket-key", b"")
    # The field must stand there once (section 11.3.1).
    if not _is_key(key) or [name for name, _ in fields].count(b"sec-websocket-key") > 1:
        raise HandshakeError(400, "Expected 16 bytes in base64 as `Sec-WebSocket-Key`, got something else.")
    return UpgradeRequest(target, fields, key)


def accept_key(key: bytes) -> bytes:
    """Return the `Sec-WebSocket-Accept` that answers a key.

    Example:
        >>> accept_key(b"dGhlIHNhbXBsZSBub25jZQ==")
        b's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def write_head(status: int, fields: list[Field]) -> bytes:
    """Write the head of the answer to a request for a WebSocket.

    Raises:
        RuntimeError: A field cannot be sent.
    """
    for name, value in fields:
        check_field(name, value)
    return b"%b%b\r\n" % (STATUS_LINES[status], encode_fields(fields))


def _is_key(value: bytes) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == KEY_LENGTH
    except binascii.Error:
        return False
