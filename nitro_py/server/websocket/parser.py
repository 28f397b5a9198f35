"""Frames from the wire: bytes in, whole messages and control frames out (RFC 6455, section 5)."""

from __future__ import annotations

import codecs
from typing import Final

from nitro_py.encoding import Frame
from nitro_py.server.websocket.deflate import Inflater
from nitro_py.server.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    LENGTH_IN_2,
    MASKED,
    MAX_CONTROL,
    PING,
    PONG,
    RSV1,
    TEXT,
    FrameError,
    decode_text,
)

try:
    from websockets.speedups import apply_mask
except ImportError:  # Platforms for which `websockets` has no wheel.
    from websockets.utils import apply_mask

# A message, text or binary, or a control frame: its opcode and what it carries.
ParsedMessage = tuple[int, Frame]

WHOLE_TEXT: Final = FIN | TEXT
WHOLE_BINARY: Final = FIN | BINARY
MASK: Final = 4
# The bytes before a short message, and the size of a frame that is too large for one.
SHORT_HEAD: Final = 2 + MASK
NOT_SHORT: Final = SHORT_HEAD + LENGTH_IN_2
RSV: Final = 0x70
# How many fragments are read before `read` returns.
MAX_FRAMES: Final = 32
OPCODE: Final = 0x0F

_decode_utf8 = codecs.getincrementaldecoder("utf-8")


def read_short_message(data: bytes) -> Frame | None:
    """Return the message if data is one short message in one frame and nothing else; otherwise `None`.

    Most reads are that, and need no parser (row `echo`).

    Raises:
        FrameError: The message is a text that is not UTF-8.
    """
    # The second byte has the mask bit and the length itself, not the form of a longer one.
    size = len(data)
    if size < SHORT_HEAD or size >= NOT_SHORT or data[1] != size - SHORT_HEAD + MASKED:
        return None
    if data[0] == WHOLE_TEXT:
        payload = apply_mask(data[6:], data[2:6])
        try:
            return payload.decode()
        except UnicodeDecodeError:
            return decode_text(payload)  # It raises the error.
    if data[0] == WHOLE_BINARY:
        return apply_mask(data[6:], data[2:6])
    return None


class FrameParser:
    r"""A parser of the frames that a client sends, in whatever pieces they come.

    A frame is checked as soon as its head is there: nothing is stored that would be refused later.

    Args:
        max_message: The most bytes that a message may have, after decompression.
        compression: Whether the handshake agreed on compressed messages.

    Example:
        >>> parser = FrameParser(max_message=100)
        >>> parser.feed(b"\\x81\\x82\\x00\\x00\\x00\\x00h")
        >>> parser.read()
        >>> parser.feed(b"i")
        >>> parser.read()
        (1, 'hi')
    """

    __slots__ = (
        "_buffer",
        "_decoder",
        "_inflater",
        "_max",
        "_message",
        "_opcode",
        "_wanted",
        "compression",
    )

    def __init__(self, *, max_message: int, compression: bool = False) -> None:
        self._max = max_message
        self.compression = compression
        self._buffer = bytearray()
        # How many bytes must be there before the next frame can be read further.
        self._wanted = 2
        # The message whose fragments are coming in, however small; its opcode is 0 between messages.
        self._opcode = CONTINUATION
        self._message = bytearray()
        self._inflater: Inflater | None = None
        self._decoder: codecs.IncrementalDecoder | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is stored, neither part of a frame nor part of a message."""
        return not self._buffer and not self._opcode

    @property
    def ready(self) -> bool:
        """Whether there is enough to go on reading."""
        return len(self._buffer) >= self._wanted

    def feed(self, data: bytes) -> None:
        """Take what came from the network."""
        self._buffer += data

    def read(self) -> ParsedMessage | None:
        """Return the next message or control frame, or `None`: until more data comes, unless it is `ready`.

        Raises:
            FrameError: The client broke the protocol; nothing can be read after that.
        """
        # Fragments are no event, and there may be many.
        for _ in range(MAX_FRAMES):
            if len(self._buffer) < self._wanted:
                break
            frame = self._read_frame()
            if frame is None:
                return None
            event = self._take(*frame)
            if event is not None:
                return event
        return None

    def _read_frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        first, second = buffer[0], buffer[1]
        self._check_head(first, second)
        length = second & ~MASKED
        start = 2
        if length >= LENGTH_IN_2:
            start = 4 if length == LENGTH_IN_2 else 10
            if len(buffer) < start:
                self._wanted = start
                return None
            length = read_length(length, bytes(buffer[2:start]))
        if first & OPCODE < CLOSE and len(self._message) + length > self._max + self._overhead(first):
            raise self._too_large()
        end = start + MASK + length
        if len(buffer) < end:
            self._wanted = end
            return None
        with memoryview(buffer) as view, view[start + MASK : end] as payload:
            data = apply_mask(payload, bytes(view[start : start + MASK]))
        del buffer[:end]
        self._wanted = 2
        return first, data

    def _check_head(self, first: int, second: int) -> None:
        opcode = first & OPCODE
        if not second & MASKED:
            raise FrameError(1002, "Expected a masked frame, got one without a mask")
        reserved = first & RSV
        # RSV1 marks a compressed message, on the first of its frames only (RFC 7692, section 6).
        if reserved and not (reserved == RSV1 and self.compression and opcode in (TEXT, BINARY)):
            raise FrameError(1002, "Expected reserved bits of 0, got others")
        if opcode in (CLOSE, PING, PONG):
            if not first & FIN or second & ~MASKED > MAX_CONTROL:
                raise FrameError(1002, f"Expected a control frame of at most {MAX_CONTROL} bytes, in one piece")
        elif opcode == CONTINUATION:
            if not self._opcode:
                raise FrameError(1002, "Expected a new message, got a continuation")
        elif opcode not in (TEXT, BINARY):
            raise FrameError(1002, f"Expected a known opcode, got {opcode}")
        elif self._opcode:
            raise FrameError(1002, "Expected a continuation, got a new message")

    def _take(self, first: int, payload: bytes) -> ParsedMessage | None:
        opcode = first & OPCODE
        if opcode >= CLOSE:
            return opcode, payload
        final = bool(first & FIN)
        if opcode and final:
            if first & RSV1:
                payload = Inflater().inflate(payload, final=True, room=self._max)
                self._check_size(len(payload))
            return opcode, decode_text(payload) if opcode == TEXT else payload
        if opcode:
            self._opcode = opcode
            self._inflater = Inflater() if first & RSV1 else None
            self._decoder = _decode_utf8() if opcode == TEXT else None
        if self._inflater is not None:
            payload = self._inflater.inflate(payload, final=final, room=self._max - len(self._message))
        self._message += payload
        self._check_size(len(self._message))
        if self._decoder is not None:
            check_text(self._decoder, payload, final=final)
        return self._end() if final else None

    def _end(self) -> ParsedMessage:
        message, opcode = self._message, self._opcode
        self._message, self._opcode = bytearray(), CONTINUATION
        self._inflater = self._decoder = None
        return opcode, message.decode() if opcode == TEXT else bytes(message)

    def _check_size(self, size: int) -> None:
        if size > self._max:
            raise self._too_large()

    def _overhead(self, first: int) -> int:
        """Return what data that does not compress may grow by: 5 bytes for each stored block."""
        compressed = first & RSV1 or self._inflater is not None
        return (self._max >> 8) + 64 if compressed else 0

    def _too_large(self) -> FrameError:
        return FrameError(1009, f"Expected a message of at most {self._max} bytes")


def check_text(decoder: codecs.IncrementalDecoder, payload: bytes, *, final: bool) -> None:
    """Check a part of a text, whose first error ends the connection (RFC 6455, section 8.1).

    Raises:
        FrameError: The text is not UTF-8.
    """
    try:
        decoder.decode(payload, final)
    except UnicodeDecodeError as error:
        raise FrameError(1007, f"Expected UTF-8, got {error.reason}") from None


def read_length(form: int, data: bytes) -> int:
    """Read a payload's length from the bytes after the short form.

    Raises:
        FrameError: The length has a shorter form, or its most significant bit is set.
    """
    length = int.from_bytes(data)
    shortest = LENGTH_IN_2 if form == LENGTH_IN_2 else 1 << 16
    if length < shortest or length >= 1 << 63:
        raise FrameError(1002, f"Expected the shortest form of a payload's length, got {len(data)} bytes for it")
    return length
