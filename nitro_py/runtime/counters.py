"""Totals of a running app, and the state of its backplane."""

from __future__ import annotations

from nitro_py.runtime.settings import MEMORY


class Counters:
    """Totals since the start.

    Attributes:
        sockets_opened: Connections that were accepted.
        sockets_closed: Connections that have ended.
        messages_received: Messages that were received from peers.
        messages_sent: Messages that were sent to peers, a topic's once for each subscriber.
        peers_too_slow: Peers that were closed with 1013.
        requests_refused: HTTP requests that the server answered in the app's place.
        direct_writers_closed: How often a `DirectWriter` ended, because its peer was too slow or was closed.
    """

    def __init__(self) -> None:
        self.sockets_opened = 0
        self.sockets_closed = 0
        self.messages_received = 0
        self.messages_sent = 0
        self.peers_too_slow = 0
        self.requests_refused = 0
        self.direct_writers_closed = 0


class BackplaneState:
    """The state of the backplane, as health and metrics show it.

    Args:
        name: The setting `backplane`.

    Attributes:
        connected: Whether topics reach the other processes; with `memory` there are none.
        reconnects: How often the broker came back after it was lost, or not there at the start.
        failures: Messages that could not be handed to the broker.
        received: Messages that came from other processes.
    """

    def __init__(self, name: str = MEMORY) -> None:
        self.name = name
        self.connected = True
        self.reconnects = 0
        self.failures = 0
        self.received = 0
