"""The broker of the workers of one machine: a process of their parent, which carries topics between them."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, cast

from nitro_py.brokers.local import (
    DONE,
    HEAD,
    MESSAGE,
    PUBLISH,
    SCHEME,
    SUBSCRIBE,
    UNSUBSCRIBE,
    FrameReader,
    read_messages,
)
from nitro_py.errors import BackplaneError, UsageError

logger = logging.getLogger("nitro_py.workers")

# The bytes that may wait for a worker before it is cut off.
MAX_WAITING: Final = 32 * 1024 * 1024
# How often the parent hears that the event loop answers, in seconds.
ALIVE_INTERVAL: Final = 1.0
# The name of the socket in its folder.
_SOCKET: Final = "broker"
_DONE_FRAME: Final = HEAD.pack(0, DONE)
# Process, user and group, as Linux has them.
_CREDENTIALS: Final = struct.Struct("3i")


@contextmanager
def listen_privately() -> Iterator[socket.socket]:
    """Listen on a Unix socket in a new folder that only this user can enter, and remove both at the end.

    The parent listens, not the broker: where that has died, workers find the socket, and wait for the next one.

    Raises:
        UsageError: There is no folder to write to, or its path is too long for a socket.
    """
    try:
        # Made with mode 0700.
        folder = tempfile.mkdtemp(prefix="nitro-")
    except OSError as error:
        raise _refuse(f"no folder can be made for the socket of their broker ({error.strerror})") from None
    listener = socket.socket(socket.AF_UNIX)
    try:
        try:
            listener.bind(f"{folder}/{_SOCKET}")
        except OSError as error:
            raise _refuse(f"the socket `{folder}/{_SOCKET}` of their broker cannot be made: {error}") from None
        listener.listen()
        yield listener
    finally:
        listener.close()
        shutil.rmtree(folder, ignore_errors=True)


def _refuse(reason: str) -> UsageError:
    return UsageError(
        f"Several workers cannot share topics: {reason}.",
        hint='Set `TMPDIR` to a folder with a short path, or use `backplane = "redis"`.',
    )


def format_broker_url(listener: socket.socket) -> str:
    """Return the `backplane_url` of the workers."""
    return f"{SCHEME}{listener.getsockname()}"


def serve_broker(listener: int, channel: int, ready: bytes, alive: bytes) -> None:
    """Carry topics between workers, until the parent is gone and the last worker, too.

    Args:
        listener: The descriptor of the socket that workers connect to.
        channel: The descriptor of the socket to the parent.
        ready: What to tell the parent once workers are taken.
        alive: What to tell it as long as the event loop answers.
    """
    with asyncio.Runner(loop_factory=find_loop_factory()) as runner:
        runner.run(_serve(socket.socket(fileno=listener), socket.socket(fileno=channel), ready, alive))


def find_loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """Return uvloop's event loop, if that is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return cast("type[asyncio.AbstractEventLoop]", uvloop.Loop)


async def _serve(listener: socket.socket, parent: socket.socket, ready: bytes, alive: bytes) -> None:
    broker = LocalBroker()
    loop = asyncio.get_running_loop()
    folder = Path(listener.getsockname()).parent
    await loop.create_unix_server(lambda: WorkerConnection(broker), sock=listener)
    parent.setblocking(False)
    parent.sendall(ready)

    def tell_alive() -> None:
        with suppress(OSError):
            parent.send(alive)
        loop.call_later(ALIVE_INTERVAL, tell_alive)

    def note_parent_gone() -> None:
        # The parent writes nothing: the first thing to read is the end.
        loop.remove_reader(parent)
        broker.end_with_last()

    tell_alive()
    loop.add_reader(parent, note_parent_gone)
    await broker.ended.wait()
    # A parent that was killed has left it behind.
    shutil.rmtree(folder, ignore_errors=True)


class LocalBroker:
    """The subscriptions of all workers.

    Attributes:
        subscribers: The workers of each topic.
        connections: All workers.
        ended: Set once the last worker is gone after the parent.
    """

    def __init__(self) -> None:
        self.subscribers: dict[bytes, set[WorkerConnection]] = {}
        self.connections: set[WorkerConnection] = set()
        self.ended = asyncio.Event()
        self._ending = False

    def end_with_last(self) -> None:
        """End once no worker is connected."""
        self._ending = True
        if not self.connections:
            self.ended.set()

    def remove(self, connection: WorkerConnection) -> None:
        """Forget a worker that is gone."""
        self.connections.discard(connection)
        for topic in connection.topics:
            self.unsubscribe(connection, topic)
        if self._ending:
            self.end_with_last()

    def unsubscribe(self, connection: WorkerConnection, topic: bytes) -> None:
        """Send a worker no more of a topic."""
        workers = self.subscribers.get(topic)
        if workers is not None:
            workers.discard(connection)
            if not workers:
                del self.subscribers[topic]


class WorkerConnection(asyncio.Protocol):
    """The connection of one worker.

    Args:
        broker: What it belongs to.

    Attributes:
        topics: What it subscribes to.
    """

    def __init__(self, broker: LocalBroker) -> None:
        self.topics: set[bytes] = set()
        self._broker = broker
        self._frames = FrameReader()
        self._transport: asyncio.Transport
        self._pid = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a worker; called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)
        credentials = read_credentials(transport.get_extra_info("socket"))
        if credentials is not None:
            self._pid, user = credentials
            if user != os.geteuid():
                logger.error("The local broker has refused process %d of user %d.", self._pid, user)
                self._transport.abort()
                return
        self._broker.connections.add(self)
        self._transport.write(_DONE_FRAME)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the worker; called by the event loop."""
        self._broker.remove(self)

    def data_received(self, data: bytes) -> None:
        """Do what the worker asks for; called by the event loop."""
        try:
            for kind, payload in self._frames.feed(data):
                self._take(kind, payload)
                self.send([_DONE_FRAME])
        except (BackplaneError, struct.error) as error:
            logger.error(
                "The local broker has cut off worker %d, which sent what is no frame: %s", self._pid, error
            )
            self._transport.abort()

    def send(self, parts: list[bytes]) -> None:
        """Send frames to the worker, or cut it off if too much waits for it."""
        if self._transport.is_closing():
            return
        self._transport.write(b"".join(parts))
        waiting = self._transport.get_write_buffer_size()
        if waiting > MAX_WAITING:
            logger.error(
                "The local broker has cut off worker %d, which reads too slowly: the %d bytes that waited for it "
                "are lost. It connects again.",
                self._pid,
                waiting,
            )
            self._transport.abort()

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == PUBLISH:
            self._publish(payload)
        elif kind == SUBSCRIBE:
            for topic, _ in read_messages(payload):
                self.topics.add(topic)
                self._broker.subscribers.setdefault(topic, set()).add(self)
        elif kind == UNSUBSCRIBE:
            for topic, _ in read_messages(payload):
                self.topics.discard(topic)
                self._broker.unsubscribe(self, topic)

    def _publish(self, payload: bytes) -> None:
        """Send messages to the workers that subscribe, all those for one worker at once."""
        outgoing: dict[WorkerConnection, list[bytes]] = {}
        for topic, data in read_messages(payload):
            for worker in self._broker.subscribers.get(topic, ()):
                # A process has delivered to its own peers before.
                if worker is not self:
                    outgoing.setdefault(worker, []).extend((HEAD.pack(len(data), MESSAGE), data))
        for worker, parts in outgoing.items():
            worker.send(parts)


def read_credentials(connection: socket.socket) -> tuple[int, int] | None:
    """Return process and user at the other end of a Unix socket, or `None` where the system does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    pid, user, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return pid, user
