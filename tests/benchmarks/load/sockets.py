"""A load client for WebSockets: connects a crowd, then publishes to it or lets it call for echoes."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from tests.benchmarks.load.answers import LostError, answer_questions
from tests.benchmarks.load.crowd import Crowd, receive_until

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\n"
    "Host: 127.0.0.1:{port}\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n"
)
MESSAGE = b"x" * 64
MASK = b"\x12\x34\x56\x78"


def frame_for_client(payload: bytes) -> bytes:
    """Frame a short text as a server does (RFC 6455, 5.2)."""
    return bytes((0x81, len(payload))) + payload


def frame_for_server(payload: bytes) -> bytes:
    """Frame a short text as a client does, masked."""
    masked = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))
    return bytes((0x81, 0x80 | len(payload))) + MASK + masked


SENT = frame_for_server(MESSAGE)
RECEIVED = frame_for_client(MESSAGE)

crowd = Crowd()


def connect(port: int, path: str, count: int) -> None:
    """Open sockets, each of which the server greets with `ready`."""
    handshake = HANDSHAKE.format(path=path, port=port).encode()
    crowd.connect(port, count, handshake, read_greeting)


def read_greeting(member: socket.socket) -> None:
    """Read the answer to a handshake and the first frame."""
    receive_until(member, lambda received: received.endswith(frame_for_client(b"ready")))


def broadcast(publications: int) -> None:
    """Let the first socket publish, each time once all the others have got what it published before."""
    publisher, *subscribers = crowd.members
    for _ in range(publications):
        publisher.send(SENT)
        crowd.collect(len(RECEIVED) * len(subscribers))
    crowd.check_received(len(RECEIVED) * publications, first=1)


def check_broadcast() -> None:
    """Publish once and compare what each subscriber gets."""
    publisher, *subscribers = crowd.members
    publisher.send(SENT)
    check_frames(subscribers)


def echo(messages: int) -> None:
    """Let each socket send a message as soon as the one before has come back."""
    crowd.converse(SENT, len(RECEIVED), messages)


def check_echo() -> None:
    """Compare one echo on each socket."""
    for member in crowd.members:
        member.send(SENT)
    check_frames(crowd.members)


def check_frames(members: Iterable[socket.socket]) -> None:
    """Compare the next frame of each socket with what was sent."""
    for member in members:
        if (received := receive_until(member, lambda received: len(received) >= len(RECEIVED))) != RECEIVED:
            raise LostError(f"a socket received {received!r}")


if __name__ == "__main__":
    answer_questions(
        {
            "connect": connect,
            "broadcast": broadcast,
            "check_broadcast": check_broadcast,
            "echo": echo,
            "check_echo": check_echo,
        }
    )
