"""Frames on the wire: writing them, and reading a close frame (RFC 6455, sections 5 and 7)."""

from __future__ import annotations

import struct
from typing import Final

from nitro_py.encoding import Frame
from nitro_py.errors import NitroError
from nitro_py.websocket import CloseDetails

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FIN: Final = 0x80
RSV1: Final = 0x40
MASKED: Final = 0x80

# The values of the seven bits for the length when the length itself follows, in two bytes or in eight.
LENGTH_IN_2: Final = 126
LENGTH_IN_8: Final = 127
# The most that a control frame may carry, in bytes.
MAX_CONTROL: Final = 125

# Codes that a close frame may carry beside those of 3000 to 4999: section 7.4 and the IANA registry.
WIRE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})

# Looked up rather than made: most messages are short texts (rows `echo` and `broadcast-1000`).
_SHORT_TEXT_HEADS = [bytes((FIN | TEXT, length)) for length in range(LENGTH_IN_2)]


class FrameError(NitroError):
    """An error of the client against the protocol.

    Args:
        code: The code that the connection is closed with.
        reason: What was expected, and what came, in at most 123 bytes.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def write_message(message: Frame) -> bytes:
    r"""Write a whole message as one frame, unmasked as a server's frames are.

    Example:
        >>> write_message("hi")
        b'\\x81\\x02hi'
    """
    if isinstance(message, str):
        payload = message.encode()
        if len(payload) < LENGTH_IN_2:
            return _SHORT_TEXT_HEADS[len(payload)] + payload
        return write_frame(FIN | TEXT, payload)
    return write_frame(FIN | BINARY, message)


def write_frame(first: int, payload: bytes) -> bytes:
    """Write one frame.

    Args:
        first: Its first byte: the opcode, with `FIN` and `RSV1` as needed.
        payload: What it carries.
    """
    length = len(payload)
    if length < LENGTH_IN_2:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return struct.pack("!BBH", first, LENGTH_IN_2, length) + payload
    return struct.pack("!BBQ", first, LENGTH_IN_8, length) + payload


def write_close(code: int, reason: str) -> bytes:
    """Write a close frame; 1005 stands for one without a code."""
    payload = b"" if code == 1005 else struct.pack("!H", code) + reason.encode()
    return write_frame(FIN | CLOSE, payload)


def read_close(payload: bytes) -> CloseDetails:
    """Read what a close frame carries.

    Raises:
        FrameError: It carries half a code, a code that must not be sent, or a reason that is not UTF-8.
    """
    if not payload:
        return CloseDetails(1005)
    if len(payload) == 1:
        raise FrameError(1002, "A close frame carries 0 or at least 2 bytes, got 1")
    code = int.from_bytes(payload[:2])
    if code not in WIRE_CODES and not 3000 <= code < 5000:
        raise FrameError(1002, f"Close code {code} must not be sent")
    return CloseDetails(code, decode_text(payload[2:]))


def decode_text(payload: bytes) -> str:
    """Read UTF-8.

    Raises:
        FrameError: It is something else.
    """
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise FrameError(1007, f"Expected UTF-8, got {error.reason}") from None
