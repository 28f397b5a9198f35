"""The backplane of the workers of one machine: the broker is a child of their own parent, behind a Unix socket."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, cast

from nitro_py.backplane import Outgoing, Receive
from nitro_py.brokers.connection import ConnectionLoss
from nitro_py.errors import BackplaneError, UsageError
from nitro_py.runtime.responsive_timeout import responsive_timeout

SCHEME: Final = "local://"
# What frames are for. The broker answers each of the first four with `DONE`, in their order, and a new connection
# with one more.
PUBLISH, SUBSCRIBE, UNSUBSCRIBE, PING, DONE, MESSAGE = range(1, 7)
# The length of what follows, and what the frame is for.
HEAD: Final = struct.Struct(">IB")
# The lengths of topic and data.
_LENGTHS: Final = struct.Struct(">II")
# The largest message, in bytes.
MAX_MESSAGE: Final = 16 * 1024 * 1024
# The bytes after which no further message, or topic, goes into a frame.
_FRAME_SIZE: Final = 1024 * 1024
# The most bytes of a frame: it may have one message more than `_FRAME_SIZE`, with its topic.
_MAX_FRAME: Final = _FRAME_SIZE + MAX_MESSAGE + 64 * 1024
# The bytes of received messages that wait before no more are read.
_MAX_WAITING: Final = 1024 * 1024
# How long the broker may be silent before it gets a ping, and how long it has for an answer, in seconds.
PING_INTERVAL: Final = 3.0
ANSWER_TIMEOUT: Final = 5.0

# A topic and its data, which is empty where only the topic counts.
NamedData = tuple[bytes, bytes]


class LocalBackplane:
    """A backplane on the broker that `--workers` starts.

    Args:
        url: The path of the broker's socket, after `local://`.
        prefix: The text before the topics.

    Raises:
        UsageError: The URL is not one that `--workers` has made.

    Example:
        LocalBackplane("local:///run/nitro/broker", "shop")
    """

    def __init__(self, url: str, prefix: str) -> None:
        if not url.startswith(SCHEME):
            raise UsageError(
                "`backplane_url` does not fit the backplane `local`, whose broker `--workers` starts: "
                "expected no URL.",
                hint="Leave `backplane_url` out, or name the backplane that it is for, such as `redis`.",
            )
        self._path = url.removeprefix(SCHEME)
        self._prefix = prefix.encode() + b"\x00"

    async def connect(self, receive: Receive) -> LocalConnection:
        """Open a connection, and wait until the broker has taken it.

        Raises:
            BackplaneError: The broker cannot be reached, or does not answer.
        """
        connection = LocalConnection(self._prefix, receive)
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: connection, self._path)
            async with responsive_timeout(ANSWER_TIMEOUT):
                await connection.open()
        except BaseException as error:
            await connection.close()
            if isinstance(error, TimeoutError):
                raise BackplaneError("The local broker does not answer.") from None
            if isinstance(error, OSError):
                raise BackplaneError(f"The local broker cannot be reached: {error.strerror}.") from error
            raise
        return connection


class LocalConnection(asyncio.Protocol):
    """One connection, until it is lost; made by `LocalBackplane.connect`.

    Args:
        prefix: The bytes before the topics.
        receive: The function that takes received messages.
    """

    max_size: int | None = MAX_MESSAGE

    def __init__(self, prefix: bytes, receive: Receive) -> None:
        self._prefix = prefix
        self._receive = receive
        self._frames = FrameReader()
        # Whether the broker has done what it was asked for, or the connection was lost before; in its order.
        self._answers: deque[asyncio.Future[bool]] = deque([self._make_answer()])
        self._opened = self._answers[0]
        self._transport: asyncio.Transport | None = None
        self._incoming: deque[bytes] = deque()
        self._waiting = 0
        self._paused = False
        self._filled = asyncio.Event()
        self._heard = asyncio.Event()
        self._loss = ConnectionLoss()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Wait until the broker has taken the connection; `LocalBackplane.connect` calls it."""
        if not await self._opened:
            self._loss.check()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._ping())]

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages to the broker, and wait until it has passed them on."""
        await self._ask(PUBLISH, [(self._prefix + topic.encode(), data) for topic, data in messages])

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Subscribe to topics."""
        await self._ask(SUBSCRIBE, self._name(topics))

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Give topics up."""
        await self._ask(UNSUBSCRIBE, self._name(topics))

    async def wait_lost(self) -> None:
        """Wait until the connection is lost."""
        await self._loss.wait()

    async def close(self) -> None:
        """End the connection."""
        self._lose("it was closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End; called by the event loop."""
        self._lose(str(error) if error is not None else "the local broker has closed it")

    def data_received(self, data: bytes) -> None:
        """Take what the broker has sent; called by the event loop."""
        self._heard.set()
        try:
            for kind, payload in self._frames.feed(data):
                if kind == MESSAGE:
                    self._incoming.append(payload)
                    self._waiting += len(payload)
                    continue
                answer = self._answers.popleft()
                if not answer.done():
                    answer.set_result(True)
        except (BackplaneError, IndexError) as error:
            self._lose(f"the local broker sent what was not asked for ({error})")
        if self._incoming:
            self._filled.set()
        if self._waiting > _MAX_WAITING and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    async def _ask(self, kind: int, messages: Iterable[NamedData]) -> None:
        """Send messages in as many frames as they need, and wait until the broker has answered the last one."""
        self._loss.check()
        assert self._transport is not None
        answer: asyncio.Future[bool] | None = None
        for frame in write_frames(kind, messages):
            answer = self._make_answer()
            self._answers.append(answer)
            self._transport.write(frame)
        if answer is not None and not await answer:
            self._loss.check()

    def _name(self, topics: Iterable[str]) -> list[NamedData]:
        return [(self._prefix + topic.encode(), b"") for topic in topics]

    async def _read(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._incoming:
                data = self._incoming.popleft()
                self._waiting -= len(data)
                await self._receive(data)
            if self._paused and self._transport is not None:
                self._paused = False
                self._transport.resume_reading()

    async def _ping(self) -> None:
        """Ping a broker that is silent."""
        while True:
            try:
                async with asyncio.timeout(PING_INTERVAL):
                    await self._heard.wait()
            except TimeoutError:
                try:
                    async with responsive_timeout(ANSWER_TIMEOUT):
                        await self._ask(PING, [(b"", b"")])
                except TimeoutError:
                    self._lose("the local broker does not answer")
                    return
                except BackplaneError:
                    return
            self._heard.clear()

    def _lose(self, reason: str) -> None:
        self._loss.note(reason)
        for answer in self._answers:
            if not answer.done():
                answer.set_result(False)
        self._answers.clear()
        if self._transport is not None:
            self._transport.abort()

    @staticmethod
    def _make_answer() -> asyncio.Future[bool]:
        return asyncio.get_running_loop().create_future()


class FrameReader:
    """What takes frames out of bytes that come in pieces.

    Example:
        >>> frames = FrameReader()
        >>> list(frames.feed(HEAD.pack(2, MESSAGE) + b"a")), list(frames.feed(b"b"))
        ([], [(6, b'ab')])
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield what each frame is for, and what it carries.

        Raises:
            BackplaneError: A frame is larger than any that is sent.
        """
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < HEAD.size:
                return
            length, _ = HEAD.unpack_from(self._buffer)
            if len(self._buffer) < HEAD.size + length <= HEAD.size + _MAX_FRAME:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        start = 0
        while len(data) - start >= HEAD.size:
            length, kind = HEAD.unpack_from(data, start)
            if length > _MAX_FRAME:
                raise BackplaneError(f"A frame is too large: expected at most {_MAX_FRAME} bytes, got {length}.")
            end = start + HEAD.size + length
            if end > len(data):
                break
            yield kind, data[start + HEAD.size : end]
            start = end
        self._buffer += data[start:]


def read_messages(payload: bytes) -> Iterator[NamedData]:
    """Yield the messages of a frame.

    Raises:
        struct.error: The frame is broken.
    """
    start = 0
    while start < len(payload):
        topic, data = _LENGTHS.unpack_from(payload, start)
        middle = start + _LENGTHS.size + topic
        start = middle + data
        yield payload[middle - topic : middle], payload[middle:start]


def write_frames(kind: int, messages: Iterable[NamedData]) -> Iterator[bytes]:
    """Write messages as frames of bounded size."""
    parts: list[bytes] = []
    size = 0
    for topic, data in messages:
        parts += (_LENGTHS.pack(len(topic), len(data)), topic, data)
        size += _LENGTHS.size + len(topic) + len(data)
        if size >= _FRAME_SIZE:
            yield b"".join((HEAD.pack(size, kind), *parts))
            parts.clear()
            size = 0
    if parts:
        yield b"".join((HEAD.pack(size, kind), *parts))
