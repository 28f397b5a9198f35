"""The hub of a function whose routes may never publish: made, with all its clients, when first used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import cached_property
from typing import TYPE_CHECKING

from nitro_py.encoding import Frame
from nitro_py.runtime.contracts import Hub

if TYPE_CHECKING:
    from nitro_py.peer import Peer


class LazyHub:
    """Is another hub, from the first call on.

    Args:
        make: Makes that one.
    """

    def __init__(self, make: Callable[[], Hub]) -> None:
        self._make = make

    @cached_property
    def _hub(self) -> Hub:
        return self._make()

    async def subscribe(self, peer: Peer, topic: str) -> None:
        """Adds a peer to a topic."""
        await self._hub.subscribe(peer, topic)

    async def unsubscribe(self, peer: Peer, topic: str) -> None:
        """Takes a peer out of a topic."""
        await self._hub.unsubscribe(peer, topic)

    async def publish(
        self, topic: str, frame: Frame, *, namespace: str | None = None, exclude: str | None = None
    ) -> None:
        """Delivers a frame to a topic's subscribers."""
        await self._hub.publish(topic, frame, namespace=namespace, exclude=exclude)

    def peers(self, namespace: str | None = None) -> AsyncIterator[Peer]:
        """Walks the connected peers."""
        return self._hub.peers(namespace)

    async def get_peer(self, id: str) -> Peer | None:
        """Reaches one peer."""
        return await self._hub.get_peer(id)
