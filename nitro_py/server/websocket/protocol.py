"""A client's WebSocket connection: the protocol below the transport, and the reading half (RFC 6455, RFC 7692)."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from time import monotonic
from typing import Any, cast

from uvicorn import Config

from nitro_py.encoding import Frame
from nitro_py.runtime.asgi.extensions import MessageReceiver
from nitro_py.runtime.contracts import ReadyState
from nitro_py.server.backlog import SLICE
from nitro_py.server.uvicorn_internals import ServerState
from nitro_py.server.websocket.asgi_bridge import AsgiBridge
from nitro_py.server.websocket.channel import TransportChannel
from nitro_py.server.websocket.deflate import Writer
from nitro_py.server.websocket.frames import (
    CLOSE,
    LENGTH_IN_2,
    PING,
    PONG,
    FrameError,
    read_close,
    write_message,
)
from nitro_py.server.websocket.parser import FrameParser, read_short_message
from nitro_py.server.websocket.shared_state import share_state
from nitro_py.websocket import CloseDetails


class ReadState(Enum):
    """What happens to the bytes that the client sends."""

    HEAD = auto()  # They are the request.
    HANDSHAKE = auto()  # They wait for the application to accept.
    FLOWING = auto()  # They go to the receiver.
    HELD = auto()  # They wait for the receiver to have room.
    CLOSING = auto()  # Only the answer to our close frame counts.
    OVER = auto()  # They are ignored.


class WebSocketProtocol(asyncio.Protocol):
    """One client's WebSocket connection, after RFC 6455, with the compression of RFC 7692 where settings allow it.

    The `AsgiBridge` turns the handshake into ASGI messages. Once it is accepted, messages go to a receiver: the
    bridge, or what the application has attached in its place. An idle connection has no task, queue or timer of
    its own (row `idle`).

    Args:
        config: uvicorn's configuration.
        server_state: uvicorn's record of its connections and tasks.
        app_state: What the application's lifespan has set.

    Example:
        uvicorn.Config(app, ws=WebSocketProtocol)
    """

    __slots__ = (
        "_channel",
        "_compression",
        "_heard",
        "_parser",
        "_pinged",
        "_queued",
        "_receiver",
        "_shared",
        "_slot",
        "_state",
        "_transport",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._shared = share_state(config, server_state, app_state)
        self._transport = cast(asyncio.Transport, None)
        self._receiver = cast(MessageReceiver, None)
        self._channel: TransportChannel | None = None
        self._state = ReadState.HEAD
        self._compression = False
        # Missing only while messages flow and no part of one is stored: then a short message is read without it
        # (row `echo`), and an idle connection needs no memory for it (row `idle`).
        self._parser: FrameParser | None = self._make_parser()
        # Whether anything came since the last check, and whether that sent a ping.
        self._heard = False
        self._pinged = False
        self._slot = 0
        # Whether more has come than a slice, and waits for its turn.
        self._queued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over from the HTTP protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._receiver = AsgiBridge(self, self._transport, self._shared)
        self._shared.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent: its request first, then frames."""
        self._heard = True
        if self._parser is None:
            try:
                message = read_short_message(data)
            except FrameError as error:
                self._fail(error)
                return
            if message is not None:
                if not self._receiver.feed(message):
                    self._pause_reading()
                return
            self._parser = self._make_parser()
        self._receive(data, self._parser)

    def eof_received(self) -> None:
        """Let the transport close: a client that sends no more cannot answer a close frame."""

    def pause_writing(self) -> None:
        """Pause the channel: the client takes bytes more slowly than they come."""
        if self._channel is not None:
            self._channel.pause()

    def resume_writing(self) -> None:
        """Resume the channel: the client takes bytes again."""
        if self._channel is not None:
            self._channel.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the session, after a closing handshake or without one."""
        self._ignore_rest()
        self._shared.forget(self, self._slot)
        details = CloseDetails(1006)
        if self._channel is not None:
            self._channel.closed()
            details = self._channel.sent_close or details
        self._receiver.on_close(details)
        self._receiver.on_connection_lost()

    def shutdown(self) -> None:
        """Close the connection because the server stops; the application has drained what it took over."""
        if self._channel is not None:
            self._channel.begin_close(1012, "")
            self._receiver.on_close(CloseDetails(1012))
        elif isinstance(self._receiver, AsgiBridge):
            self._receiver.refuse(503, b"The server stops.")
        self._transport.close()

    def open(self, write: Writer | None) -> TransportChannel:
        """Begin to read messages, and return the channel that writes them; called once the handshake is accepted.

        Args:
            write: Writes compressed messages, if client and server agreed on that.
        """
        self._compression = write is not None
        self._channel = TransportChannel(self._transport, self, write or write_message)
        self._slot = self._shared.watch(self)
        assert self._parser is not None
        self._parser.compression = self._compression
        self._enter_and_read(self._parser, ReadState.FLOWING)
        return self._channel

    def attach(self, receiver: MessageReceiver) -> None:
        """Hand messages to another receiver from now on."""
        self._receiver = receiver

    def check_alive(self) -> None:
        """Ping a client that was silent since the last check, and drop one that has not answered a ping."""
        if self._channel is None or self._channel.ready_state is not ReadyState.OPEN:
            return
        # A client that is not read cannot be heard.
        if self._heard or self._queued or self._state is ReadState.HELD:
            self._heard = self._pinged = False
        elif self._pinged:
            self._ignore_rest()
            self._channel.fail(1011, "No answer to a ping")
            self._receiver.on_close(CloseDetails(1006))
        else:
            self._pinged = True
            self._channel.ping()

    def close_sent(self) -> None:
        """Ignore all that comes now but the answer to the close frame that was sent."""
        held, self._state = self._state is ReadState.HELD, ReadState.CLOSING
        self._parser = self._parser or self._make_parser()
        if held:
            self._enter_and_read(self._parser, ReadState.CLOSING)

    def dropped_slow(self, details: CloseDetails) -> None:
        """End the session of a client that is too slow to be kept."""
        self._receiver.on_close(details)

    def _receive(self, data: bytes, parser: FrameParser) -> None:
        if self._state is ReadState.OVER:
            return
        if self._state is ReadState.HEAD:
            assert isinstance(self._receiver, AsgiBridge)
            head, _, data = data.partition(b"\r\n\r\n")
            self._state = ReadState.HANDSHAKE
            self._receiver.begin(head)
        parser.feed(data)
        if self._state is ReadState.HANDSHAKE:
            if data:
                self._transport.pause_reading()
        elif self._state is not ReadState.HELD and not self._queued:
            self._read(parser)

    def read_backlog(self) -> None:
        """Read for another slice, and take bytes from the client again if that was all."""
        self._queued = False
        if self._parser is not None and self._state in (ReadState.FLOWING, ReadState.CLOSING):
            self._enter_and_read(self._parser, self._state)

    def _read(self, parser: FrameParser) -> None:
        """Hand over the stored messages, as long as there is room, and no longer than a slice."""
        end = 0.0
        try:
            while self._state in (ReadState.FLOWING, ReadState.CLOSING):
                event = parser.read()
                if event is not None:
                    self._take(*event)
                if not parser.ready:
                    break
                # Most reads end before anything looks at the clock.
                now = monotonic()
                end = end or now + SLICE
                if now >= end:
                    self._wait_for_turn()
                    break
        except FrameError as error:
            self._fail(error)
        # Where even a short message is too long, only the parser refuses it.
        if self._state is ReadState.FLOWING and parser.empty and self._shared.max_message >= LENGTH_IN_2:
            self._parser = None

    def _take(self, opcode: int, data: Frame) -> None:
        assert self._channel is not None
        if opcode == CLOSE:
            assert isinstance(data, bytes)
            details = read_close(data)
            self._ignore_rest()
            self._channel.answer_close(details)
            self._receiver.on_close(self._channel.sent_close or details)
        elif self._state is ReadState.CLOSING or opcode == PONG:
            return
        elif opcode == PING:
            assert isinstance(data, bytes)
            self._channel.pong(data)
        elif not self._receiver.feed(data):
            self._pause_reading()

    def _pause_reading(self) -> None:
        if self._state is ReadState.FLOWING:
            self._state = ReadState.HELD
            self._parser = self._parser or self._make_parser()
            self._receiver.on_resume = self._resume_reading
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._state is ReadState.HELD and self._parser is not None:
            self._state = ReadState.FLOWING
            # Not here: what has made room may be a loop of hooks, which would never end.
            self._wait_for_turn()

    def _wait_for_turn(self) -> None:
        """Let other connections go first; the transport is read again once all that has come is."""
        if not self._queued and self._state in (ReadState.FLOWING, ReadState.CLOSING):
            self._queued = True
            self._transport.pause_reading()
            self._shared.backlogs.add(self)

    def _enter_and_read(self, parser: FrameParser, state: ReadState) -> None:
        """Enter a state, and read what is stored and what comes."""
        self._state = state
        self._transport.resume_reading()
        self._read(parser)

    def _fail(self, error: FrameError) -> None:
        assert self._channel is not None
        self._ignore_rest()
        self._channel.fail(error.code, error.reason)
        self._receiver.on_close(self._channel.sent_close or CloseDetails(error.code, error.reason))

    def _ignore_rest(self) -> None:
        """Ignore what comes from now on, and what is stored."""
        self._state = ReadState.OVER
        self._parser = self._make_parser()

    def _make_parser(self) -> FrameParser:
        return FrameParser(max_message=self._shared.max_message, compression=self._compression)
