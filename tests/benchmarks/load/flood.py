"""A load client that floods a server by one connection, and asks for echoes by another meanwhile."""

from __future__ import annotations

import math
import socket
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from statistics import median

from tests.benchmarks.load.answers import PATIENCE, LostError, answer_questions
from tests.benchmarks.load.crowd import HOST, open_connection, receive_until
from tests.benchmarks.load.sockets import HANDSHAKE, MASK, RECEIVED, SENT, frame_for_client

# How much of the attack is sent at a time, in bytes, and how long the victim rests between two echoes, in seconds.
BLOCK = 256 * 1024
REST = 0.002
# What a compressed message inflates to.
INFLATED = b"x" * 4096
DEFLATE = (
    "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n"
)


def mask(payload: bytes) -> bytes:
    """Mask a payload as clients must."""
    return bytes(byte ^ MASK[index % 4] for index, byte in enumerate(payload))


def frame(first: int, payload: bytes) -> bytes:
    """Return a short frame of a client."""
    return bytes((first, 0x80 | len(payload))) + MASK + mask(payload)


def deflate(payload: bytes) -> bytes:
    """Compress a message (RFC 7692, section 7.2.1)."""
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def repeat(piece: bytes) -> bytes:
    """Return as many whole pieces as make a block."""
    return piece * (BLOCK // len(piece))


HTTP = "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n"
GET = HTTP.format(method="GET", path="/hello", fields="").encode()
POST = HTTP.format(method="POST", path="/size", fields="Transfer-Encoding: chunked\r\n").encode()
# Attack → what opens it, and what is then sent again and again.
SOCKET_ATTACKS = {
    "texts": (b"", repeat(frame(0x81, b"x"))),
    "fragments": (frame(0x01, b""), repeat(frame(0x00, b""))),
    "pings": (b"", repeat(frame(0x89, b""))),
    "compressed": (b"", repeat(frame(0xC1, deflate(INFLATED)))),
}
HTTP_ATTACKS = {
    # A body that most servers take, then the next request.
    "chunks": (b"", POST + b"1\r\nx\r\n" * 40_000 + b"0\r\n\r\n"),
    "requests": (b"", repeat(GET)),
}

_victim: socket.socket | None = None
_port = 0


def connect(port: int) -> None:
    """Open the victim's socket in place of the one before."""
    global _victim, _port
    _port = port
    if _victim is not None:
        _victim.close()
    _victim = _open_socket("")


def flood(attack: str, echoes: int, seconds: float) -> None:
    """Attack, and take the time of so many echoes meanwhile, or of as many as come within some time.

    Raises:
        LostError: An echo did not come, or a connection was closed.
    """
    assert _victim is not None
    sent = closes = 0
    opening, block = {**SOCKET_ATTACKS, **HTTP_ATTACKS}[attack]
    fields = DEFLATE if attack == "compressed" else ""
    handshake = b"" if attack in HTTP_ATTACKS else _write_handshake(fields)
    attacker = _open_attacker(attack, opening)
    buffer = bytearray(1024 * 1024)
    rest = memoryview(block)
    times: list[float] = []
    _victim.setblocking(False)

    def push() -> None:
        """Send and read as much as the server takes and gives; come again if it closes the connection."""
        nonlocal attacker, rest, sent, closes
        try:
            with suppress(BlockingIOError):
                count = attacker.send(rest)
                sent += count
                rest = rest[count:] or memoryview(block)
            with suppress(BlockingIOError):
                if not attacker.recv_into(buffer):
                    raise ConnectionResetError
        except ConnectionError:
            closes += 1
            attacker.close()
            attacker = socket.create_connection((HOST, _port), PATIENCE)
            attacker.setblocking(False)
            # Nothing waits for the answer to the handshake.
            rest = memoryview(handshake + opening + block)

    try:
        begun = time.perf_counter()
        while time.perf_counter() - begun < 0.2:
            push()
        for _ in range(echoes):
            asked = time.perf_counter()
            if times and asked - begun > seconds:
                break
            _victim.send(SENT)
            missing = len(RECEIVED)
            while missing:
                push()
                try:
                    missing -= len(part := _victim.recv(missing))
                    if not part:
                        raise LostError("the server closed the victim's connection")
                except BlockingIOError:
                    if time.perf_counter() - asked > PATIENCE:
                        raise LostError(f"no echo came for {PATIENCE:g} s") from None
            times.append(time.perf_counter() - asked)
            rested = time.perf_counter()
            while time.perf_counter() - rested < REST:
                push()
        wall = time.perf_counter() - begun
    finally:
        attacker.close()
    times.sort()
    result.update(
        p50=median(times) * 1e3,
        # All but 1% are faster.
        p99=times[math.ceil(0.99 * len(times)) - 1] * 1e3,
        worst=times[-1] * 1e3,
        echoes=len(times),
        closes=closes,
        megabits=sent * 8e-6 / wall,
    )


def _write_handshake(fields: str) -> bytes:
    handshake = HANDSHAKE.format(path="/echo", port=_port).removesuffix("\r\n") + fields + "\r\n"
    return handshake.encode()


def _open_socket(fields: str) -> socket.socket:
    opened = open_connection(_port, _write_handshake(fields))
    greeting = frame_for_client(b"ready")
    # What a server compresses looks different from server to server.
    head = receive_until(
        opened, lambda received: received.partition(b"\r\n\r\n")[2] if fields else received.endswith(greeting)
    )
    if fields and b"permessage-deflate" not in head.lower():
        raise LostError("the server does not compress")
    return opened


def _open_attacker(attack: str, opening: bytes) -> socket.socket:
    if attack in HTTP_ATTACKS:
        attacker = socket.create_connection((HOST, _port), PATIENCE)
    else:
        attacker = _open_socket(DEFLATE if attack == "compressed" else "")
        attacker.setblocking(True)
        attacker.sendall(opening)
    attacker.setblocking(False)
    return attacker


result: dict[str, float] = {}


if __name__ == "__main__":
    answers: dict[str, Callable[..., None]] = {"connect": connect, "flood": flood}
    answer_questions(answers, result)
