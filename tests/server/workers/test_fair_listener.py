"""Workers that share a socket leave new connections to those that have fewer."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from nitro_py.server.workers import fair_listener
from nitro_py.server.workers.fair_listener import HEAD_START, FairListener
from nitro_py.server.workers.shared_memory import ConnectionCounts, clear_connection_count, make_connection_counts

pytestmark = pytest.mark.anyio


class Greeting(asyncio.Protocol):
    """A protocol that sends the name of its worker, and leaves the connection open until the client closes it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._worker.connections += 1
        transport.write(self._worker.name.encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self._worker.connections -= 1


class Worker:
    """Stands for a worker that has some connections already."""

    def __init__(self, name: str, connections: int) -> None:
        self.name = name
        self.connections = connections

    def listen(self, listener: socket.socket, memory: int, place: int) -> FairListener:
        """Accept from a socket."""
        return FairListener(
            listener, partial(Greeting, self), lambda: self.connections, ConnectionCounts(memory, place)
        )


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


async def connect(listener: socket.socket, count: int) -> list[str]:
    """Open connections, one after the other, and tells whose each is."""
    loop = asyncio.get_running_loop()
    names = []
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            await loop.sock_connect(client, listener.getsockname())
            names.append((await asyncio.wait_for(loop.sock_recv(client, 16), 30)).decode())
    return names


async def test_one_that_has_fewer_goes_first_until_they_are_even(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than a busy machine may stop this process for, which would look like a worker that is busy.
    monkeypatch.setattr(fair_listener, "HEAD_START", 0.2)
    memory = make_connection_counts(2)
    full, empty = Worker("full", 10), Worker("empty", 0)
    # An event loop has one reader for each descriptor.
    with listener.dup() as same:
        listeners = [full.listen(listener, memory, 0), empty.listen(same, memory, 1)]
        names = await connect(listener, 20)
        for fair in listeners:
            fair.close()
    assert names[:10] == ["empty"] * 10
    assert names[10:].count("full") == 5


async def test_one_that_hangs_is_not_waited_for_long(listener: socket.socket) -> None:
    memory = make_connection_counts(2)
    ConnectionCounts(memory, 1).set_own(0)
    worker = Worker("full", 10)
    fair = worker.listen(listener, memory, 0)
    started = asyncio.get_running_loop().time()
    assert await connect(listener, 3) == ["full"] * 3
    assert asyncio.get_running_loop().time() - started >= 3 * HEAD_START
    fair.close()


async def test_one_that_is_gone_or_was_never_there_is_nobody(listener: socket.socket) -> None:
    memory = make_connection_counts(3)
    own, other = ConnectionCounts(memory, 0), ConnectionCounts(memory, 1)
    own.set_own(5)
    assert not own.is_ahead()
    other.set_own(4)
    assert own.is_ahead()
    assert not other.is_ahead()
    clear_connection_count(memory, 1)
    assert not own.is_ahead()


async def test_shortage_of_files_is_survived(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker("one", 0)

    class Short:
        """The listener, and cannot open a file the first time."""

        failed = False

        def __getattr__(self, name: str) -> object:
            return getattr(listener, name)

        def accept(self) -> tuple[socket.socket, object]:
            if not self.failed:
                self.failed = True
                raise OSError(errno.EMFILE, "Too many open files")
            return listener.accept()

    fair = worker.listen(Short(), make_connection_counts(1), 0)  # type: ignore[arg-type]
    assert await connect(listener, 1) == ["one"]
    assert "No connection can be accepted: Too many open files." in caplog.text
    fair.close()


async def test_nothing_is_accepted_after_the_close(listener: socket.socket) -> None:
    worker = Worker("one", 0)
    fair = worker.listen(listener, make_connection_counts(1), 0)
    assert await connect(listener, 1) == ["one"]
    fair.close()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connect(listener, 1), 0.1)
