"""A load client for HTTP: keep-alive connections that ask, read the whole answer, and ask again."""

from __future__ import annotations

import json
import re
import socket

from tests.benchmarks.load.answers import LostError, answer_questions
from tests.benchmarks.load.crowd import Crowd, receive_until

REQUEST = "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n\r\n"

crowd = Crowd()
# The request, and how long its answer is; all answers are equally long.
request = b""
answer_size = 0


def read_answer(member: socket.socket) -> bytes:
    """Read one answer, and return it whole.

    Raises:
        LostError: It is no 200, or says no length.
    """

    def is_complete(received: bytes) -> bool:
        head, separator, body = received.partition(b"\r\n\r\n")
        if not separator:
            return False
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        if not head.startswith(b"HTTP/1.1 2") or (length is None and b" 204 " not in head):
            raise LostError(f"the server answered {received!r}")
        return len(body) >= (int(length[1]) if length else 0)

    return receive_until(member, is_complete)


def connect(port: int, path: str, count: int, expected: object) -> None:
    """Open connections in place of those before, and compare the first answer on each.

    Args:
        port: Where the server listens on 127.0.0.1.
        path: What is asked for.
        count: How many connections ask.
        expected: The JSON that must be in each answer.
    """
    global request, answer_size
    crowd.close()
    request = REQUEST.format(path=path, port=port).encode()
    sizes = set()

    def check(member: socket.socket) -> None:
        answer = read_answer(member)
        if json.loads(answer.partition(b"\r\n\r\n")[2]) != expected:
            raise LostError(f"the server answered {answer!r}")
        sizes.add(len(answer))

    crowd.connect(port, count, request, check)
    if len(sizes) != 1:
        raise LostError(f"the answers have {sorted(sizes)} bytes")
    answer_size = sizes.pop()


def ask(requests: int) -> None:
    """Let each connection ask as soon as it has the answer before."""
    crowd.converse(request, answer_size, requests)


if __name__ == "__main__":
    answer_questions({"connect": connect, "ask": ask})
