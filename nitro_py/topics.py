"""Reaching peers from anywhere: an HTTP route, a task, a plugin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from nitro_py.encoding import encode_frame
from nitro_py.runtime.current_app import current_app

if TYPE_CHECKING:
    from nitro_py.peer import Peer


async def publish(topic: str, data: object, namespace: str | None = None) -> None:
    """Send to every subscriber of a topic; there is no sender to leave out.

    Args:
        topic: The topic's name.
        data: What `Peer.send` takes.
        namespace: Only the subscribers there; `None` reaches every namespace.

    Raises:
        NitroError: No app runs in this process.

    Example:
        @define_handler
        async def handler(event: Event) -> None:
            await publish("prices", {"eur": 1.08})
    """
    await current_app().publish(topic, encode_frame(data), namespace=namespace)


def peers(namespace: str | None = None) -> AsyncIterator[Peer]:
    """Walk the connected peers: this process's, or all of them where the target can see them.

    Args:
        namespace: Only the peers there; `None` walks all.

    Raises:
        NitroError: No app runs in this process.

    Example:
        async for peer in peers():
            await peer.send("The server restarts soon.")
    """
    return current_app().hub.peers(namespace)


async def get_peer(id: str) -> Peer | None:
    """Reach one peer by its id, to send to it or close it; `None` if it is not to be found.

    Raises:
        NitroError: No app runs in this process.

    Example:
        if peer := await get_peer(event.params["id"]):
            await peer.close(1000, "moderated")
    """
    return await current_app().hub.get_peer(id)
