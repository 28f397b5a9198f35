"""What an app counts about itself while it runs."""

from __future__ import annotations


class Counters:
    """Holds totals since the start; whoever does a thing adds to them, whoever shows them reads.

    Attributes:
        sockets_opened: Connections that were accepted.
        sockets_closed: Connections that have ended.
        messages_received: Messages that peers sent.
        messages_sent: Messages that were sent to peers, a topic's once for each subscriber.
        peers_too_slow: Peers that were closed with 1013.
        requests_refused: HTTP requests that the server answered in the app's place.
        outlets_closed: How often a peer that topics were written to directly stopped to keep up, or was closed.
    """

    def __init__(self) -> None:
        self.sockets_opened = 0
        self.sockets_closed = 0
        self.messages_received = 0
        self.messages_sent = 0
        self.peers_too_slow = 0
        self.requests_refused = 0
        self.outlets_closed = 0
