"""How the backplane of an app is doing."""

from __future__ import annotations


class BackplaneState:
    """Holds what health and metrics show; the hub writes it.

    Args:
        name: The setting `backplane`.

    Attributes:
        connected: Whether topics reach the other processes; with `memory` there are none.
        reconnects: How often the broker came back after it was lost, or not there at the start.
        failures: Messages that could not be handed to the broker.
        received: Messages that came from other processes.
    """

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.connected = True
        self.reconnects = 0
        self.failures = 0
        self.received = 0
