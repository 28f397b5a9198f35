"""The channel of a peer over an ASGI `send`, with a queue, so that a slow peer never delays others."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from nitro_py.encoding import Frame
from nitro_py.errors import PeerClosedError
from nitro_py.event import Send
from nitro_py.runtime.closing import CLOSE_TIMEOUT, TOO_SLOW, note_slow_peer
from nitro_py.runtime.contracts import Broadcast, ReadyState
from nitro_py.runtime.counters import Counters

logger = logging.getLogger("nitro_py.websocket")


@dataclass(frozen=True, slots=True)
class CloseFrame:
    """The end of the connection, as an item of the queue."""

    code: int
    reason: str


class SendChannel:
    """A peer's channel over an ASGI `send`, for servers without the extension `nitro.socket`.

    Frames wait in a queue, and a task sends them as fast as the server takes them.

    Args:
        send: The ASGI send callable.
        limit: The most bytes that may wait, `websocket.buffer_limit`.
        drop: The function that stops reading, which ends the connection.
        overflow: The function that is called with the close code and the reason if the peer is too slow.
        counters: The counters of sent messages and of peers that are too slow.
    """

    def __init__(
        self,
        send: Send,
        *,
        limit: int,
        drop: Callable[[], None],
        overflow: Callable[[int, str], None],
        counters: Counters,
    ) -> None:
        self._send = send
        self._limit = limit
        self._drop = drop
        self._overflow = overflow
        self._counters = counters
        self._queue: deque[Frame | CloseFrame] = deque()
        self._waiting = 0
        self._writer: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.ready_state = ReadyState.OPEN
        self.sent_close: CloseFrame | None = None

    @property
    def buffered_amount(self) -> int:
        """The bytes that were sent and have not left this process."""
        return self._waiting

    async def send(self, frame: Frame) -> None:
        """Send a frame, and wait while the buffer is over its limit."""
        self._check_open()
        self._enqueue(frame)
        # Without this the writer would not run before the hook that sends waits for something else.
        await asyncio.sleep(0)
        while self._waiting > self._limit and self.ready_state is ReadyState.OPEN:
            await self._wait_for_change()
        if self.ready_state is ReadyState.CLOSED:
            raise PeerClosedError("The peer disconnected while a message was sent to it.")

    @property
    def direct_writer(self) -> None:
        """Always `None`: this server takes frames by `send` only, which is awaited."""

    def deliver(self, broadcast: Broadcast) -> None:
        """Queue a topic's frame; past the limit the peer is closed with 1013 (RFC 6455: try again later)."""
        if self.ready_state is not ReadyState.OPEN:
            return
        # Waiting bytes tell a slow peer; one message that is larger than the limit does not.
        if self.buffered_amount <= self._limit:
            self._enqueue(broadcast.frame)
            return
        note_slow_peer(self._counters, self._limit)
        self._queue.clear()
        self._begin_close(TOO_SLOW.code, TOO_SLOW.reason)
        self._overflow(TOO_SLOW.code, TOO_SLOW.reason)

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame after what waits, and drop the connection if it is not answered."""
        if self.ready_state is ReadyState.OPEN:
            self._begin_close(code, reason)
            await asyncio.sleep(0)

    async def terminate(self) -> None:
        """Drop the connection."""
        if self.ready_state is not ReadyState.CLOSED:
            self._end()

    async def wait_for_drain(self) -> None:
        """Wait until nothing is left to send, or the peer is gone."""
        while self.ready_state is not ReadyState.CLOSED and self._waiting:
            await self._wait_for_change()

    def closed(self) -> None:
        """Enter the state `CLOSED`, and drop what waits: the connection is gone."""
        self.ready_state = ReadyState.CLOSED
        self._queue.clear()
        self._waiting = 0
        self._changed.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def finish(self) -> None:
        """Wait until the queue is sent, up to the close frame; at most for `CLOSE_TIMEOUT`."""
        if self._writer is not None:
            await asyncio.wait((self._writer,), timeout=CLOSE_TIMEOUT)

    def _check_open(self) -> None:
        if self.ready_state is not ReadyState.OPEN:
            raise PeerClosedError(f"The peer is gone: expected an open connection, got {self.ready_state.name}.")

    def _enqueue(self, frame: Frame) -> None:
        self._counters.messages_sent += 1
        self._waiting += len(frame)
        self._queue.append(frame)
        self._start_writer()

    def _begin_close(self, code: int, reason: str) -> None:
        self.ready_state = ReadyState.CLOSING
        self.sent_close = CloseFrame(code, reason)
        self._queue.append(self.sent_close)
        self._start_writer()
        self._changed.set()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._end)

    def _start_writer(self) -> None:
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._queue:
                frame = self._queue.popleft()
                if isinstance(frame, CloseFrame):
                    # granian, for one, holds a close frame back while the app waits for a message.
                    self._drop()
                    await asyncio.sleep(0)
                    await self._send({"type": "websocket.close", "code": frame.code, "reason": frame.reason})
                    return
                kind = "text" if isinstance(frame, str) else "bytes"
                await self._send({"type": "websocket.send", kind: frame})
                self._waiting -= len(frame)
                self._changed.set()
        except Exception as error:
            # Servers raise various errors if the client is gone; the disconnect message follows.
            logger.debug("Could not send to a peer: %r", error)
            self.closed()
        finally:
            self._writer = None

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _end(self) -> None:
        self.closed()
        self._drop()
