"""A name server as networks of containers have one: a service's name stands for the addresses of its replicas."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_HEADER = struct.Struct("!HHHHHH")
_RESPONSE = 0x8180
_IPV4 = 1


@contextmanager
def serve_names(name: str, addresses: Sequence[str]) -> Iterator[int]:
    """Answer questions about one name until the end of the block, and return the port.

    Args:
        name: The name.
        addresses: What it stands for.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        stopping = threading.Event()

        def answer() -> None:
            while not stopping.is_set():
                try:
                    question, client = server.recvfrom(512)
                except TimeoutError:
                    continue
                server.sendto(answer_question(question, name, addresses), client)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stopping.set()
            thread.join()


def answer_question(message: bytes, name: str, addresses: Sequence[str]) -> bytes:
    """Answer a question of the domain name system (RFC 1035) for addresses of the fourth version.

    Args:
        message: The question.
        name: The name that is known, of one label.
        addresses: What it stands for.
    """
    number, _, _, _, _, _ = _HEADER.unpack_from(message)
    asked = message[_HEADER.size :]
    label = asked[1 : 1 + asked[0]].decode()
    end = asked[0] + 2
    (kind,) = struct.unpack_from("!H", asked, end)
    known = addresses if (label, kind) == (name, _IPV4) else ()
    # Each answer names what the question names, by its place in the message.
    records = b"".join(
        struct.pack("!HHHIH", 0xC000 | _HEADER.size, _IPV4, 1, 1, 4) + socket.inet_aton(address)
        for address in known
    )
    return _HEADER.pack(number, _RESPONSE, 1, len(known), 0, 0) + asked[: end + 4] + records
