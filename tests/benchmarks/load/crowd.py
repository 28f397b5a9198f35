"""Many connections of one process: opened in batches, read by counting what arrives."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

from tests.benchmarks.load.answers import PATIENCE, LostError

# How many connections may wait to be accepted; some servers keep no more.
BATCH = 100
# Between two looks at the connections, in seconds. A process that sleeps in `epoll_wait` is woken by the server's
# own writes: on one machine that may cost the server more than the write, over a network it costs nothing.
NAP = 0.0002
HOST = "127.0.0.1"


class Crowd:
    """Connections, and counts the bytes of each.

    Python's own event loops would cost as much here as the servers do that are measured: this reads as many
    connections as are ready with one call each.
    """

    def __init__(self) -> None:
        self.members: list[socket.socket] = []
        self._poll = select.epoll()
        self._buffer = bytearray(65536)
        self._received: dict[int, int] = {}
        self._readers: dict[int, Callable[[bytearray], int]] = {}

    def connect(self, port: int, count: int, request: bytes, greet: Callable[[socket.socket], object]) -> None:
        """Open connections, sends a request on each, and leave the answer to a function.

        Args:
            port: Where the server listens on 127.0.0.1.
            count: How many to open.
            request: What is sent first.
            greet: Reads what is then sent back, and raises if it is not what it should be.
        """
        for start in range(0, count, BATCH):
            batch = [open_connection(port, request) for _ in range(min(BATCH, count - start))]
            for member in batch:
                greet(member)
                self.members.append(member)
                self._received[member.fileno()] = 0
                self._readers[member.fileno()] = member.recv_into
                self._poll.register(member, select.EPOLLIN)

    def close(self) -> None:
        """Close all connections."""
        for member in self.members:
            self._poll.unregister(member)
            member.close()
        self.members.clear()

    def collect(self, expected: int) -> None:
        """Read until so many bytes have arrived on all connections together.

        Raises:
            LostError: A connection was closed, or nothing came for a while.
        """
        arrived = 0
        while arrived < expected:
            ready = self.wait()
            if not ready:
                raise LostError(f"{arrived} of {expected} bytes came, then nothing for {PATIENCE:g} s")
            for descriptor, _ in ready:
                arrived += self.read(descriptor)

    def converse(self, question: bytes, answer_size: int, turns: int) -> None:
        """Let each connection ask again as soon as it has got the answer before.

        Args:
            question: What is sent.
            answer_size: How many bytes come back.
            turns: How often each connection asks.

        Raises:
            LostError: An answer did not come, or was not so long.
        """
        senders = {member.fileno(): member.send for member in self.members}
        missing = dict.fromkeys(senders, answer_size)
        left = dict.fromkeys(senders, turns)
        for send in senders.values():
            send(question)
        while left:
            ready = self.wait()
            if not ready:
                raise LostError(f"{len(left)} connections got no answer for {PATIENCE:g} s")
            for descriptor, _ in ready:
                missing[descriptor] -= self.read(descriptor)
                if missing[descriptor] > 0:
                    continue
                missing[descriptor] = answer_size
                left[descriptor] -= 1
                if left[descriptor]:
                    senders[descriptor](question)
                else:
                    del left[descriptor]
        self.check_received(answer_size * turns, first=0)

    def wait(self) -> list[tuple[int, int]]:
        """Wait for connections that can be read, and return them with their events; none once patience ends."""
        deadline = time.monotonic() + PATIENCE
        while not (ready := self._poll.poll(0, 1024)) and time.monotonic() < deadline:
            time.sleep(NAP)
        return ready

    def read(self, descriptor: int) -> int:
        """Read what a connection has, and return its number of bytes."""
        count = self._readers[descriptor](self._buffer)
        if not count:
            raise LostError("the server closed a connection")
        self._received[descriptor] += count
        return count

    def check_received(self, expected: int, *, first: int) -> None:
        """Forget what was received, and raises if a connection had more or less than it should.

        Args:
            expected: Bytes of each connection from `first` on; those before should have none.
            first: How many connections there are before them.
        """
        for index, member in enumerate(self.members):
            received, self._received[member.fileno()] = self._received[member.fileno()], 0
            if received != (wanted := expected if index >= first else 0):
                raise LostError(f"connection {index} received {received} bytes, not {wanted}")


def open_connection(port: int, request: bytes) -> socket.socket:
    """Connect and send a request."""
    member = socket.create_connection((HOST, port), PATIENCE)
    member.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    member.sendall(request)
    return member


def receive_until(member: socket.socket, complete: Callable[[bytes], object]) -> bytes:
    """Read one connection until what it sent is complete.

    Raises:
        LostError: The server closed it, or nothing came for a while.
    """
    member.settimeout(PATIENCE)
    received = b""
    while not complete(received):
        try:
            part = member.recv(65536)
        except TimeoutError:
            raise LostError(f"nothing came for {PATIENCE:g} s after {received!r}") from None
        if not part:
            raise LostError(f"the server closed a connection after {received!r}")
        received += part
    member.setblocking(False)
    return received
