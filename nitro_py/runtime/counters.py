"""What an app counts about itself while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Holds totals since the start; whoever does a thing adds to them, whoever shows them reads.

    Args:
        sockets_opened: Connections that were accepted.
        sockets_closed: Connections that have ended.
        messages_received: Messages that peers sent.
        messages_sent: Messages that were sent to peers, a topic's once for each subscriber.
        peers_too_slow: Peers that were closed with 1013.
        requests_refused: HTTP requests that the server answered in the app's place.
    """

    sockets_opened: int = 0
    sockets_closed: int = 0
    messages_received: int = 0
    messages_sent: int = 0
    peers_too_slow: int = 0
    requests_refused: int = 0
