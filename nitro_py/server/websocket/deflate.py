"""Compressed messages: permessage-deflate, RFC 7692."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from nitro_py.encoding import Frame
from nitro_py.server.websocket.frames import BINARY, FIN, RSV1, TEXT, FrameError, write_frame, write_message

NAME: Final = "permessage-deflate"
MAX_WINDOW: Final = 15
# zlib has no raw window of 8 bits, though the protocol does.
MIN_WINDOW: Final = 9
# The values that a parameter for a window may have.
WINDOWS = frozenset(str(bits) for bits in range(8, MAX_WINDOW + 1))
# What ends each message and is left out on the wire (section 7.2.1).
TAIL: Final = b"\x00\x00\xff\xff"
# What may follow a final block: nothing, or the byte that makes an empty block of the tail.
ENDS: Final = (TAIL, b"\x00" + TAIL)
# An empty final block.
EMPTY_END: Final = b"\x03\x00"
# Shorter messages go as they are, in bytes: without a shared context they hardly shrink.
COMPRESS_FROM: Final = 128

Writer = Callable[[Frame], bytes]


class Inflater:
    r"""The decompression of one message, frame by frame.

    Example:
        >>> Inflater().inflate(b"\\xcbH\\xcd\\xc9\\xc9\\x07\\x00", final=True, room=100)
        b'hello'
    """

    __slots__ = ("_rest", "_stream")

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(-MAX_WINDOW)
        # What came behind a final block.
        self._rest = b""

    def inflate(self, data: bytes, *, final: bool, room: int) -> bytes:
        """Inflate a frame's payload.

        Args:
            data: The payload.
            final: Whether the message ends with it.
            room: The most bytes that the result may have; one more shows that it was too much.

        Raises:
            FrameError: The data is not compressed as agreed.
        """
        try:
            if self._stream.eof:
                inflated, self._rest = b"", self._rest + data
            else:
                inflated = self._stream.decompress(data, room + 1)
                self._rest = self._stream.unused_data
            if self._stream.eof:
                self._check_rest(final)
            elif final and len(inflated) <= room and not self._ends_between_blocks():
                raise FrameError(1002, "Expected whole compressed blocks, got a part of one")
        except zlib.error:
            raise FrameError(1002, "Expected compressed data, got something else") from None
        return inflated

    def _ends_between_blocks(self) -> bool:
        """Return whether tail and end are blocks of their own: within another one, they would be a part of it."""
        stream = self._stream
        return not stream.decompress(TAIL + EMPTY_END, 1) and stream.eof and not stream.unused_data

    def _check_rest(self, final: bool) -> None:
        """Check what follows a final block, which zlib ignores; a message may end with one (section 7.2.3.4)."""
        if final:
            self._rest += TAIL
        if self._rest in ENDS if final else any(end.startswith(self._rest) for end in ENDS):
            return
        raise FrameError(1002, "Expected the end of the message behind its final compressed block, got more")


def negotiate(offers: Iterable[str]) -> tuple[str, Writer] | None:
    """Accept the first offer of the extension that the server can keep.

    Neither side keeps a context between messages: a message for many is then compressed once, and an idle
    connection holds no window.

    Args:
        offers: The values of the fields `Sec-WebSocket-Extensions`.

    Returns:
        The extension as the answer names it, and what writes messages; `None` if no offer is accepted.

    Example:
        >>> negotiate(["permessage-deflate; client_max_window_bits"])[0]
        'permessage-deflate; server_no_context_takeover; client_no_context_takeover'
    """
    for offer in (part for field in offers for part in field.split(",")):
        name, *parameters = (word.strip() for word in offer.split(";"))
        window = _read_window(parameters) if name == NAME else None
        if window is None:
            continue
        answer = f"{NAME}; server_no_context_takeover; client_no_context_takeover"
        if "server_max_window_bits" in offer:
            answer += f"; server_max_window_bits={window}"
        return answer, WRITERS[window]
    return None


def write_compressed(window: int, message: Frame) -> bytes:
    """Write a message as one frame, compressed if that may help.

    Args:
        window: The bits of the window that the client agreed to.
        message: The message.
    """
    payload = message.encode() if isinstance(message, str) else message
    if len(payload) < COMPRESS_FROM:
        return write_message(message)
    stream = zlib.compressobj(wbits=-window)
    deflated = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
    opcode = TEXT if isinstance(message, str) else BINARY
    return write_frame(FIN | RSV1 | opcode, deflated.removesuffix(TAIL))


# One for each window, as long as the process lives: a broadcast is encoded once for each writer (row
# `broadcast-1000`).
WRITERS: dict[int, Writer] = {
    window: partial(write_compressed, window) for window in range(MIN_WINDOW, MAX_WINDOW + 1)
}


def _read_window(parameters: list[str]) -> int | None:
    """Return the bits of the server's window in an offer (section 7.1), or `None` if it cannot be accepted."""
    seen: set[str] = set()
    window = MAX_WINDOW
    for parameter in parameters:
        name, given, value = (word.strip() for word in parameter.partition("="))
        value = value.strip('"')
        if name in seen:
            return None
        seen.add(name)
        bits = (
            int(value) if value.isdecimal() and value == str(int(value)) and 8 <= int(value) <= MAX_WINDOW else 0
        )
        match name:
            case "server_no_context_takeover" | "client_no_context_takeover" if not given:
                pass
            case "client_max_window_bits" if not given or bits:
                # We inflate with the largest window, which reads every smaller one.
                pass
            case "server_max_window_bits" if bits >= MIN_WINDOW:
                window = bits
            case _:
                return None
    return window
