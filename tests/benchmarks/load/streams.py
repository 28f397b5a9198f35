"""A load client for event streams: many streams listen, one connection publishes."""

from __future__ import annotations

import re
import socket

from tests.benchmarks.load.answers import LostError, answer_questions
from tests.benchmarks.load.crowd import Crowd, open_connection, receive_until
from tests.benchmarks.load.requests import read_answer

LISTEN = "GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n"
PUBLISH = (
    "POST /publish HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    "Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{text}"
)
TEXT = "x" * 64


class Streams:
    """The streams and the connection that publishes to them."""

    def __init__(self) -> None:
        self.crowd = Crowd()
        self.event_size = 0

    def connect(self, port: int, count: int) -> None:
        """Open streams, each of which the server greets with the event `ready`."""
        self.crowd.connect(port, count, LISTEN.format(port=port).encode(), read_greeting)
        self.publication = PUBLISH.format(port=port, length=len(TEXT), text=TEXT).encode()
        self.publisher = open_connection(port, self.publication)
        read_answer(self.publisher)
        events = {read_event(member) for member in self.crowd.members}
        # How a server frames its chunks is its own matter, but it is the same for every event.
        if len(events) != 1:
            raise LostError(f"the streams received {events}")
        self.event_size = len(events.pop())

    def publish(self, events: int) -> None:
        """Publish, each time once all streams have got what was published before."""
        for _ in range(events):
            self.publisher.send(self.publication)
            self.crowd.collect(self.event_size * len(self.crowd.members))
            read_answer(self.publisher)
        self.crowd.check_received(self.event_size * events, first=0)


def read_greeting(member: socket.socket) -> None:
    """Read the answer's head and the first event."""
    receive_until(member, lambda received: is_event(received, "ready"))


def read_event(member: socket.socket) -> bytes:
    """Read the event that was published."""
    return receive_until(member, lambda received: is_event(received, TEXT))


def is_event(received: bytes, text: str) -> bool:
    """Whether an event with a text stands at the end, with the end of its chunk."""
    return re.search(rb"data: ?%b(\r?\n){2}\r\n\Z" % text.encode(), received) is not None


streams = Streams()

if __name__ == "__main__":
    answer_questions({"connect": streams.connect, "publish": streams.publish})
