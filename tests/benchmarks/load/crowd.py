"""Many connections of one process: opened in batches, read by counting what arrives."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from tests.benchmarks.load.answers import PATIENCE, LostError

# How many connections may wait to be accepted; some servers keep no more.
BATCH = 100
HOST = "127.0.0.1"


class Crowd:
    """Holds connections, and counts the bytes of each.

    Python's own event loops would cost as much here as the servers do that are measured: this reads as many
    connections as are ready with one call each.
    """

    def __init__(self) -> None:
        self.members: list[socket.socket] = []
        self._poll = select.epoll()
        self._buffer = bytearray(65536)
        self._received: dict[int, int] = {}
        self._readers: dict[int, Callable[[bytearray], int]] = {}

    def connect(self, port: int, count: int, request: bytes, *, greeting: bytes) -> None:
        """Opens connections, sends a request on each, and reads until a greeting stands at the end.

        Raises:
            LostError: A connection was refused, or greeted otherwise.
        """
        for start in range(0, count, BATCH):
            batch = [self._open(port, request) for _ in range(min(BATCH, count - start))]
            for member in batch:
                _read_greeting(member, greeting)
                member.setblocking(False)
                self.members.append(member)
                self._received[member.fileno()] = 0
                self._readers[member.fileno()] = member.recv_into
                self._poll.register(member, select.EPOLLIN)

    def collect(self, expected: int) -> None:
        """Reads until so many bytes have arrived on all connections together.

        Raises:
            LostError: A connection was closed, or nothing came for a while.
        """
        arrived = 0
        while arrived < expected:
            for descriptor in self.wait(f"{arrived} of {expected} bytes arrived"):
                arrived += self.read(descriptor)

    def wait(self, state: str) -> list[int]:
        """Gives the connections that can be read; `state` is what an error says when there are none."""
        ready = self._poll.poll(PATIENCE, 1024)
        if not ready:
            raise LostError(f"{state}, and then nothing for {PATIENCE:g} s")
        return [descriptor for descriptor, _ in ready]

    def read(self, descriptor: int) -> int:
        """Reads what a connection has, and gives its number of bytes."""
        count = self._readers[descriptor](self._buffer)
        if not count:
            raise LostError("the server closed a connection")
        self._received[descriptor] += count
        return count

    def check_received(self, expected: int, *, first: int) -> None:
        """Forgets what was received, and raises if a connection had more or less than it should.

        Args:
            expected: Bytes of each connection from `first` on; those before should have none.
            first: How many connections there are before them.
        """
        for index, member in enumerate(self.members):
            received, self._received[member.fileno()] = self._received[member.fileno()], 0
            if received != (wanted := expected if index >= first else 0):
                raise LostError(f"connection {index} received {received} bytes, not {wanted}")

    def _open(self, port: int, request: bytes) -> socket.socket:
        member = socket.create_connection((HOST, port), PATIENCE)
        member.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        member.sendall(request)
        return member


def receive_exactly(member: socket.socket, size: int) -> bytes:
    """Reads so many bytes of one connection, for checks."""
    member.settimeout(PATIENCE)
    received = b""
    while len(received) < size:
        part = member.recv(size - len(received))
        if not part:
            raise LostError(f"the server closed a connection after {received!r}")
        received += part
    member.setblocking(False)
    return received


def _read_greeting(member: socket.socket, greeting: bytes) -> None:
    received = b""
    while not received.endswith(greeting):
        part = member.recv(4096)
        if not part:
            raise LostError(f"the server greeted with {received!r}")
        received += part
