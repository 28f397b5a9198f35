"""How the backplane of an app is doing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class BackplaneState:
    """Holds what health and metrics show; the hub writes it.

    Args:
        name: The setting `backplane`.
        connected: Whether topics reach the other processes; with `memory` there are none.
        reconnects: How often the broker came back after it was lost, or not there at the start.
        failures: Messages that could not be handed to the broker.
        received: Messages that came from other processes.
    """

    name: str = "memory"
    connected: bool = True
    reconnects: int = 0
    failures: int = 0
    received: int = 0
