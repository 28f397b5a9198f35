"""WebSocket connections, with API Gateway's quotas on what clients may send."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from dataclasses import dataclass, field
from hashlib import sha1

from wsproto.frame_protocol import CloseReason, Frame, FrameDecoder, FrameProtocol, Opcode, ParseFailed

from nitro_presets.aws_lambda.gateway.formats import make_connection_id
from nitro_presets.aws_lambda.gateway.quotas import Quotas

PIECE = 64 * 1024
# How long a client may take to end the connection after a close frame, in seconds.
LINGER = 2.0
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LOST = "The client left without a word."
# The reasons in `$disconnect` if there is no other.
REASONS = {
    1000: "Connection Closed Normally",
    1001: "Going away",
    1005: "Client-side close frame status not set",
}


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The end of a connection, as `$disconnect` has it.

    Args:
        code: The close code (RFC 6455, 7.4).
        reason: The reason.
    """

    code: int
    reason: str

    @classmethod
    def of(cls, code: int, reason: str = "") -> Disconnect:
        """Make the end of a connection; an empty reason is replaced by API Gateway's own."""
        return cls(code, reason or REASONS.get(code, ""))


class ClientSocket:
    """The server's side of an accepted WebSocket.

    Args:
        reader: The stream to read from.
        writer: The stream to write to.
        data: The bytes that were received with the handshake.
        limits: The quotas.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes, limits: Quotas
    ) -> None:
        self.disconnect: Disconnect | None = None
        self._reader = reader
        self._writer = writer
        self._protocol = _LimitedProtocol(limits)
        self._protocol.receive_bytes(data)
        self._parts: list[str] = []
        self._lost = False
        self._closed = asyncio.Event()

    @property
    def closing(self) -> bool:
        """Whether the connection has ended, or is about to."""
        return self.disconnect is not None or self._writer.is_closing() or self._reader.at_eof()

    @property
    def unsent(self) -> int:
        """The bytes that the client has not received yet."""
        return self._writer.transport.get_write_buffer_size()

    def send_text(self, text: str) -> None:
        """Send a message."""
        self._writer.write(bytes(self._protocol.send_data(text)))

    async def receive(self) -> str | None:
        """Wait for a message; return `None` once the connection has ended and `disconnect` is set."""
        while self.disconnect is None:
            try:
                for frame in self._protocol.received_frames():
                    message = self._take(frame)
                    if message is not None:
                        return message
                    if self.disconnect is not None:
                        return None
            except ParseFailed as error:
                self.close(int(error.code), str(error))
                return None
            data = await self._read()
            if data is None:
                return None
            if not data:
                self.disconnect = Disconnect.of(1006, LOST)
                self._lost = True
                return None
            self._protocol.receive_bytes(data)
        return None

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame, unless the connection has ended already.

        Args:
            code: The close code, for the client and `$disconnect`.
            reason: The reason, for `$disconnect` only.
        """
        if self.disconnect is None:
            self.disconnect = Disconnect.of(code, reason)
            self._writer.write(bytes(self._protocol.close(code)))
            self._closed.set()

    async def finish(self) -> None:
        """Close the TCP connection, once the client has had time to read the rest."""
        with contextlib.suppress(OSError, TimeoutError):
            if not self._lost and not self._writer.is_closing():
                # Closing with unread bytes would reset the connection, and drop what the client has not read yet.
                self._writer.write_eof()
                async with asyncio.timeout(LINGER):
                    while await self._reader.read(PIECE):
                        pass
        self._writer.close()

    def _take(self, frame: Frame) -> str | None:
        match frame.opcode:
            case Opcode.PING:
                assert isinstance(frame.payload, bytes | bytearray)
                self._writer.write(bytes(self._protocol.pong(bytes(frame.payload))))
            case Opcode.CLOSE:
                assert isinstance(frame.payload, tuple)
                code, reason = frame.payload
                self.disconnect = Disconnect.of(int(code), reason)
                self._writer.write(bytes(self._protocol.close(int(code))))
            case Opcode.TEXT:
                assert isinstance(frame.payload, str)
                self._parts.append(frame.payload)
                if frame.message_finished:
                    message = "".join(self._parts)
                    self._parts.clear()
                    return message
        return None

    async def _read(self) -> bytes | None:
        """Read received bytes; return `None` if we have closed the connection meanwhile."""
        reading = asyncio.ensure_future(self._reader.read(PIECE))
        disconnect = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait({reading, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            if self.disconnect is not None:
                return None
            return reading.result()
        except OSError:
            return b""
        finally:
            reading.cancel()
            disconnect.cancel()
            # A stream allows one reader at a time, and an error that is looked at by no one is logged.
            await asyncio.gather(reading, disconnect, return_exceptions=True)


class _LimitedDecoder(FrameDecoder):
    """A decoder that refuses a frame by its header, before its payload has come."""

    def __init__(self, limits: Quotas) -> None:
        super().__init__(client=False)
        self._limits = limits
        self._size = 0

    def parse_header(self) -> bool:
        """Read a header."""
        if not super().parse_header():
            return False
        header = self.header
        assert header is not None
        if header.opcode.iscontrol():
            return True
        if header.opcode is Opcode.BINARY:
            raise ParseFailed("Binary messages are not supported.", CloseReason.UNSUPPORTED_DATA)
        self._size += header.payload_len
        if header.payload_len > self._limits.frame:
            raise ParseFailed("Frame too long", CloseReason.MESSAGE_TOO_BIG)
        if self._size > self._limits.message:
            raise ParseFailed("Message too long", CloseReason.MESSAGE_TOO_BIG)
        if header.fin:
            self._size = 0
        return True


class _LimitedProtocol(FrameProtocol):
    def __init__(self, limits: Quotas) -> None:
        super().__init__(client=False, extensions=[])
        self._frame_decoder = _LimitedDecoder(limits)


def accept_key(key: str) -> str:
    """Return `Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key` (RFC 6455, 4.2.2).

    Example:
        >>> accept_key("dGhlIHNhbXBsZSBub25jZQ==")
        's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    return base64.b64encode(sha1((key + _GUID).encode()).digest()).decode()


@dataclass(slots=True, eq=False)
class GatewayConnection:
    """A connection to the WebSocket API.

    Args:
        source_ip: The client's IP address.
        user_agent: The client's `User-Agent`.
    """

    source_ip: str
    user_agent: str
    id: str = field(default_factory=make_connection_id)
    connected_at: int = field(default_factory=lambda: now())
    last_active_at: int = field(default_factory=lambda: now())
    socket: ClientSocket | None = None

    def touch(self) -> None:
        """Set the time of the last message, sent or received."""
        self.last_active_at = now()


class GatewayConnections:
    """The connections, by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, GatewayConnection] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, connection: GatewayConnection) -> None:
        """Add a connection."""
        self._by_id[connection.id] = connection

    def remove(self, connection: GatewayConnection) -> None:
        """Remove a connection that has ended."""
        self._by_id.pop(connection.id, None)

    def find_open(self, id: str) -> tuple[GatewayConnection, ClientSocket] | None:
        """Find a connection that messages can be sent to, with its socket."""
        connection = self._by_id.get(id)
        # Until `$connect` has returned there is no socket.
        if connection is None or connection.socket is None or connection.socket.closing:
            return None
        return connection, connection.socket


def now() -> int:
    """Return the time in milliseconds since the epoch."""
    return int(time.time() * 1000)
