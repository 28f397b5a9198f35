"""The session of a peer: `open`, then its messages in order and one at a time, `close` last."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from sys import getsizeof
from types import CoroutineType, coroutine
from typing import Any, Final, Protocol, cast

from nitro_py.encoding import Frame
from nitro_py.message import Message
from nitro_py.peer import Peer
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.hooks.eager import READY, HookDriver, Hooks, find_starter
from nitro_py.runtime.hooks.errors import fail_with, finish_hook
from nitro_py.runtime.log_context import LogContext
from nitro_py.runtime.tasks import start_task
from nitro_py.websocket import CloseDetails, MessageHook, WebSocketHandler, maybe_await

# The bytes of messages that may wait for a peer's hook before reading pauses. One more message, and the part of
# another, may have come by then.
MAX_QUEUE_SIZE: Final = 256 * 1024
# How many messages that waited are handled before other peers get their turn.
MAX_IN_TURN: Final = 16


class PeerRegistry(Protocol):
    """The known peers of an app."""

    def add_peer(self, peer: Peer) -> None:
        """Make a peer known."""

    def remove_peer(self, peer: Peer) -> None:
        """Forget a peer."""


# Makes the hook's argument from a message.
Read = Callable[[Frame, Peer], Any]


class PeerSession:
    """The session of a peer, which runs its hooks in the order of the contract.

    The adapter calls `start` once a socket is accepted, `feed` for each message, `on_close` once the socket is
    closed, and `on_connection_lost` when nothing is left to send; `finished` waits for the last hook. A hook is
    called at once if none is running. The rest of an async hook goes on in a task, and so do the hooks that follow
    meanwhile. An idle session has no task (row `idle` of the benchmark), and no event of the socket can cancel a
    hook.

    Args:
        peer: The peer.
        handler: The route's hooks.
        hub: The known peers.
        route: The route's path, for the log.
        max_queue: The most messages that may wait for their hook; then `feed` pauses reading.
        counters: The counters of connections and messages.
    """

    __slots__ = (
        "_busy",
        "_closed",
        "_counters",
        "_details",
        "_driver",
        "_ended",
        "_finished",
        "_gone",
        "_handler",
        "_hub",
        "_ignores_messages",
        "_max_queue",
        "_queue",
        "_queue_size",
        "_route",
        "_starter",
        "_task",
        "log_context",
        "on_end",
        "on_resume",
        "peer",
    )

    def __init__(
        self,
        peer: Peer,
        handler: WebSocketHandler,
        hub: PeerRegistry,
        *,
        route: str,
        max_queue: int,
        counters: Counters,
    ) -> None:
        self.peer = peer
        # Called once messages are taken again after `feed` has paused reading, and once the session has ended.
        self.on_resume: Callable[[], None] | None = None
        self.on_end: Callable[[PeerSession], None] | None = None
        self._handler = handler
        self.log_context: LogContext = (peer, route)
        self._starter = find_starter()
        # The driver of message hooks; made with the first message, as many peers send none (row `idle`).
        self._driver: HookDriver | None = None
        self._hub = hub
        self._route = route
        self._max_queue = max_queue
        self._counters = counters
        self._queue: deque[Frame] | None = None
        self._queue_size = 0
        # Whether a hook is running or waiting; a waiting one has a task.
        self._busy = False
        self._task: asyncio.Task[None] | None = None
        # Whether messages are dropped: there is no hook for them, a hook has failed, or the socket is closed.
        self._ignores_messages = handler.message is None
        self._details: CloseDetails | None = None
        # Whether the close hook was called, and whether it has ended.
        self._closed = False
        self._ended = False
        # Whether the connection is gone, long after `on_close` if a client does not answer a close frame.
        self._gone = False
        self._finished: asyncio.Event | None = None

    def start(self) -> None:
        """Add the peer to the known ones, and run its open hook."""
        self._counters.sockets_opened += 1
        self._hub.add_peer(self.peer)
        if self._handler.open is not None:
            self._busy = True
            self._go_on_with(self._starter.start(self.continue_hook(self._handler.call_open(self.peer))))

    def feed(self, data: Frame) -> bool:
        """Run the message hook, or let the message wait; return false to pause reading until `on_resume`."""
        self._counters.messages_received += 1
        if self._busy or self._ignores_messages:
            return self._ignores_messages or self._enqueue(data)
        self._busy = True
        try:
            task = (self._driver or self._drive()).begin(data)
        except BaseException as error:
            task = self._starter.start(self.continue_hook(fail_with(error)))
        if task is None and not self._queue and self._details is None:
            self._busy = False
        else:
            self._go_on_with(task)
        return True

    async def wait_until_resumed(self) -> None:
        """Wait until messages are taken again after `feed` has paused reading."""
        room = asyncio.Event()
        self.on_resume = room.set
        await room.wait()

    def on_close(self, details: CloseDetails) -> None:
        """Handle the messages that came before, then run `close`: the socket is closed."""
        if self._details is None:
            self._counters.sockets_closed += 1
            self._details = details
            self._ignores_messages = True
            self._hub.remove_peer(self.peer)
            if not self._busy:
                self._busy = True
                self._go_on_with(None)

    def on_connection_lost(self) -> None:
        """Forget the connection: sent messages have reached the network, or never will."""
        self._gone = True
        self._leave()

    async def finished(self) -> None:
        """Wait until the last hook has run."""
        if not self._ended:
            self._finished = self._finished or asyncio.Event()
            await self._finished.wait()

    async def shut_down(self) -> None:
        """Close the socket with 1001 for a stop of the server, and run the close hook with that code."""
        await self.peer.close(1001, "The server stops.")
        self.on_close(CloseDetails(1001, "The server stops."))

    def _go_on_with(self, task: asyncio.Task[None] | None) -> None:
        """Remember the task that hooks go on in; if there is none, start one for hooks that wait."""
        if task is None and (self._queue or (self._details is not None and not self._closed)):
            task = self._starter.start(self.continue_hook(None))
        self._task = task
        if task is None:
            self._busy = False

    async def continue_hook(self, rest: Awaitable[None] | None) -> None:
        """Await the rest of a hook, and run the hooks that follow; the body of the task."""
        handled = 0
        try:
            while True:
                if rest is not None and not await finish_hook(rest, self._handler, self.peer, self._route):
                    self._fail()
                if self._queue:
                    handled += 1
                    if handled % MAX_IN_TURN == 0:
                        # Hooks that wait for nothing would hold up every other peer.
                        await asyncio.sleep(0)
                    data = self._queue.popleft()
                    self._queue_size -= getsizeof(data)
                    self._resume()
                    rest = (self._driver or self._drive()).run(data)
                elif self._details is not None and not self._closed:
                    self._closed = True
                    rest = self._handler.call_close(self.peer, self._details)
                else:
                    break
        except BaseException as error:
            # The event loop ends, or a hook has cancelled this task: no other hook can follow.
            self._fail()
            self._end()
            # A coroutine that is closed may not wait any more.
            if not isinstance(error, GeneratorExit):
                await self.peer.terminate()
            elif self._starter.loop.is_running():
                start_task(self.peer.terminate())
            raise
        self._busy = False
        self._task = None
        if self._closed:
            self._end()

    def _drive(self) -> HookDriver:
        handler = self._handler
        assert handler.message is not None
        read: Read = Message if handler.message_model is None else handler.read
        make = cast(Callable[[], Hooks], partial(_call_hooks, handler.message, read, self.peer))
        self._driver = HookDriver(self._starter, self, make)
        return self._driver

    def _enqueue(self, data: Frame) -> bool:
        if self._queue is None:
            self._queue = deque()
        self._queue.append(data)
        self._queue_size += getsizeof(data)
        return len(self._queue) < self._max_queue and self._queue_size < MAX_QUEUE_SIZE

    def _resume(self) -> None:
        # Not with each message: pausing and resuming a transport costs more than a message does (row `echo`).
        if self.on_resume is not None and (
            not self._queue
            or (len(self._queue) <= self._max_queue // 2 and self._queue_size <= MAX_QUEUE_SIZE // 2)
        ):
            room, self.on_resume = self.on_resume, None
            room()

    def _fail(self) -> None:
        """Let no more messages through."""
        self._ignores_messages = True
        self._queue = None
        self._resume()

    def _end(self) -> None:
        self._ended = True
        # Breaks a reference cycle, which only the garbage collector would find.
        self._driver = None
        if self._finished is not None:
            self._finished.set()
        self._leave()

    def _leave(self) -> None:
        if self._ended and self._gone and self.on_end is not None:
            self.on_end(self)


@coroutine
def _call_hooks(hook: MessageHook, read: Read, peer: Peer) -> Hooks:
    """Call a message hook with each value that is sent.

    For the row `echo` of the benchmark: this is most of what a message costs, and each call counts.
    """
    while True:
        data = yield READY
        rest: Any = hook(peer, read(data, peer))
        if type(rest) is CoroutineType:
            yield from rest  # type: ignore[misc]  # mypy knows coroutines by another name.
        elif rest is not None:
            yield from maybe_await(rest)
