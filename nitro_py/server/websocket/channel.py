"""The writing half of a WebSocket connection."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from typing import Final, Protocol

from nitro_py.encoding import Frame
from nitro_py.errors import PeerClosedError
from nitro_py.runtime.closing import CLOSE_TIMEOUT, TOO_SLOW, note_slow_peer
from nitro_py.runtime.contracts import Broadcast, DirectWriter, ReadyState
from nitro_py.runtime.counters import Counters
from nitro_py.server.websocket.deflate import Writer
from nitro_py.server.websocket.frames import FIN, PING, PONG, write_close, write_frame
from nitro_py.websocket import CloseDetails

logger = logging.getLogger("nitro_py.websocket")

# The most bytes that may wait where the application sets no limit; it waits for a client beyond that.
DEFAULT_LIMIT: Final = 64 * 1024
EMPTY_PING: Final = write_frame(FIN | PING, b"")


class ChannelOwner(Protocol):
    """A WebSocket connection, as far as its channel needs it."""

    def close_sent(self) -> None:
        """Ignore all that comes now but the answer to the close frame that was sent."""

    def dropped_slow(self, details: CloseDetails) -> None:
        """End the session of a client that is too slow to be kept.

        Args:
            details: The code and reason of the close frame that was sent.
        """


class TransportChannel:
    """A channel that writes frames to a transport, and keeps them while the client is slow.

    A client that keeps up costs one call of `transport.write` a frame (rows `echo` and `broadcast-1000`). Once the
    transport pauses us, frames wait here: broadcasts share their bytes, and those of a slow client can be dropped
    so that a close frame gets through.

    Args:
        transport: The connection's transport.
        owner: The connection.
        write: Writes a message as a frame, as the handshake agreed.
    """

    __slots__ = (
        "_changed",
        "_counters",
        "_flowing",
        "_held",
        "_held_size",
        "_limit",
        "_owner",
        "_paused",
        "_timer",
        "_transport",
        "_write",
        "ready_state",
        "sent_close",
    )

    def __init__(self, transport: asyncio.Transport, owner: ChannelOwner, write: Writer) -> None:
        self._transport = transport
        # Frames leave at once, and we are paused as soon as one does not: a second buffer would only cost. If
        # bytes of earlier answers wait, the transport pauses the owner here and now, which has no channel yet.
        transport.set_write_buffer_limits(0)
        self._owner = owner
        self._write = write
        self._limit = DEFAULT_LIMIT
        self._counters = Counters()
        # Whether a frame can go straight to the transport.
        self._paused = transport.get_write_buffer_size() > 0
        self._flowing = not self._paused
        self._held: deque[bytes] | None = None
        self._held_size = 0
        self._changed: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.ready_state = ReadyState.OPEN
        self.sent_close: CloseDetails | None = None

    def configure(self, *, limit: int, counters: Counters) -> None:
        """Set what the application that takes the socket over wants.

        Args:
            limit: The most bytes that may wait, the transport's included.
            counters: Counts what is sent, and the clients that were too slow.
        """
        self._limit = limit
        self._counters = counters

    @property
    def buffered_amount(self) -> int:
        """Bytes that were sent and have not left this process."""
        if self.ready_state is ReadyState.CLOSED:
            return 0
        return self._held_size + self._transport.get_write_buffer_size()

    @property
    def direct_writer(self) -> DirectWriter | None:
        """The transport, as long as it takes frames at once."""
        return DirectWriter(self._write, self._transport.write) if self._flowing else None

    def send(self, frame: Frame) -> Awaitable[None] | None:
        """Send a frame; return an awaitable that waits for a slow client, `None` for one that keeps up.

        Raises:
            PeerClosedError: The client is gone, or is being closed.
        """
        if not self._flowing:
            return self._send_later(frame)
        self._counters.messages_sent += 1
        self._transport.write(self._write(frame))
        return None

    def deliver(self, broadcast: Broadcast) -> None:
        """Send a topic's frame without waiting; a client that is slow past the limit is closed with 1013."""
        if self._flowing:
            self._counters.messages_sent += 1
            self._transport.write(broadcast.encode(self._write))
        elif self.ready_state is ReadyState.OPEN:
            # Bytes that wait already show a slow peer; one message larger than the limit does not.
            if self.buffered_amount > self._limit:
                self._drop_slow()
            else:
                self._counters.messages_sent += 1
                self._hold(broadcast.encode(self._write))

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame after what waits, and drop the connection if it is not answered."""
        self.begin_close(code, reason)

    async def terminate(self) -> None:
        """Drop the connection."""
        self.abort()

    async def wait_for_drain(self) -> None:
        """Wait until nothing is left to send, or the peer is gone."""
        while self.buffered_amount:
            await self._wait_for_change()

    def begin_close(self, code: int, reason: str) -> None:
        """Start the closing handshake, unless it has been started."""
        if self.ready_state is not ReadyState.OPEN:
            return
        self.sent_close = CloseDetails(code, reason)
        self._leave(ReadyState.CLOSING)
        self._write_next(write_close(code, reason))
        self._owner.close_sent()

    def answer_close(self, details: CloseDetails) -> None:
        """End the closing handshake: send the client's code back, unless we began it, and close."""
        if self.ready_state is ReadyState.OPEN:
            self._drop_held()
            self._transport.write(write_close(details.code, ""))
        self._leave(ReadyState.CLOSED)
        self._transport.close()

    def fail(self, code: int, reason: str) -> None:
        """Close a connection whose client breaks the protocol, or does not answer."""
        if self.ready_state is not ReadyState.OPEN:
            self.abort()
            return
        self.sent_close = CloseDetails(code, reason)
        self._leave(ReadyState.CLOSING)
        self._drop_held()
        self._transport.write(write_close(code, reason))
        # Closing at once, with data of the client unread, would reset the connection and lose the close frame.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def ping(self) -> None:
        """Send a ping."""
        self._write_next(EMPTY_PING)

    def pong(self, payload: bytes) -> None:
        """Answer a ping, unless the client sends pings and reads nothing."""
        if self.ready_state is ReadyState.OPEN and (self._flowing or self.buffered_amount <= self._limit):
            self._write_next(write_frame(FIN | PONG, payload))

    def abort(self) -> None:
        """Drop the connection at once."""
        if self.ready_state is not ReadyState.CLOSED:
            self._leave(ReadyState.CLOSED)
        self._transport.abort()

    def closed(self) -> None:
        """Enter the state `CLOSED`, and drop what waits: the connection is gone."""
        self._leave(ReadyState.CLOSED)
        self._drop_held()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause(self) -> None:
        """Keep frames from now on: the transport has enough."""
        self._paused = True
        self._stop_flow()

    def resume(self) -> None:
        """Hand the transport the frames that were kept, as far as it takes them."""
        self._paused = False
        # A write may pause us again.
        while self._held and not self._paused:
            frame = self._held.popleft()
            self._held_size -= len(frame)
            self._transport.write(frame)
        self._flowing = not self._paused and self.ready_state is ReadyState.OPEN
        self._notify()

    async def _send_later(self, frame: Frame) -> None:
        self._check_open()
        self._counters.messages_sent += 1
        self._hold(self._write(frame))
        # A hook that only sends would leave the transport no chance to, and any client would look slow.
        await asyncio.sleep(0)
        while self.ready_state is ReadyState.OPEN and self.buffered_amount > self._limit:
            await self._wait_for_change()
        if self.ready_state is ReadyState.CLOSED:
            raise PeerClosedError("The peer disconnected while a message was sent to it.")

    def _check_open(self) -> None:
        if self.ready_state is not ReadyState.OPEN:
            raise PeerClosedError(f"The peer is gone: expected an open connection, got {self.ready_state.name}.")

    def _hold(self, frame: bytes) -> None:
        if self._held is None:
            self._held = deque()
        self._held.append(frame)
        self._held_size += len(frame)

    def _write_next(self, frame: bytes) -> None:
        """Write a control frame, behind the messages that wait."""
        if self._held:
            self._hold(frame)
        else:
            self._transport.write(frame)

    def _drop_slow(self) -> None:
        note_slow_peer(self._counters, self._limit)
        self._drop_held()
        self.begin_close(TOO_SLOW.code, TOO_SLOW.reason)
        self._owner.dropped_slow(TOO_SLOW)

    def _drop_held(self) -> None:
        self._held = None
        self._held_size = 0

    def _leave(self, state: ReadyState) -> None:
        """Enter a state in which nothing can be sent, and which must end soon."""
        self.ready_state = state
        self._stop_flow()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.abort)
        self._notify()

    def _stop_flow(self) -> None:
        if self._flowing:
            self._flowing = False
            self._counters.direct_writers_closed += 1

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()

    async def _wait_for_change(self) -> None:
        if self._changed is None:
            self._changed = asyncio.Event()
        self._changed.clear()
        await self._changed.wait()
