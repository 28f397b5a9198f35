"""Hooks that note that they ran."""

from __future__ import annotations

from typing import Any

from nitro_py.message import Message
from nitro_py.peer import Peer
from nitro_py.websocket import CloseDetails


class Log:
    """Notes which hooks ran, with which peers."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.peers: list[Peer] = []

    async def open(self, peer: Peer) -> None:
        self.entries.append("open")
        self.peers.append(peer)

    async def message(self, peer: Peer, message: Message) -> None:
        self.entries.append(f"message {message}")
        self.peers.append(peer)

    async def close(self, peer: Peer, details: CloseDetails) -> None:
        self.entries.append(f"close {details.code}")
        self.peers.append(peer)

    async def error(self, peer: Peer, error: Exception) -> None:
        self.entries.append(f"error {error}")

    def hooks(self, *names: str, **others: Any) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names} | others
