"""Topics and peers, from anywhere: an HTTP route, a task, a plugin."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from nitro_py.encoding import encode_frame
from nitro_py.runtime.current_app import current_app
from nitro_py.runtime.topics.names import check_namespace, check_peer_id, check_topic

if TYPE_CHECKING:
    from nitro_py.peer import Peer


async def publish(topic: str, data: object, namespace: str | None = None) -> None:
    """Send a message to every subscriber of a topic.

    Args:
        topic: The topic.
        data: Any value that `Peer.send` takes.
        namespace: The only namespace to reach; `None` reaches all.

    Raises:
        BackplaneError: The broker has not accepted the message, and no subscriber is in this process.
        NitroError: No app runs in this process.
        TypeError: The value has no JSON form, or the topic or the namespace is no text.
        ValueError: The topic has more than 4096 bytes, or UTF-8 cannot express it or the namespace.

    Example:
        @define_handler
        async def handler(event: Event) -> None:
            await publish("prices", {"eur": 1.08})
    """
    check_topic(topic)
    check_namespace(namespace)
    await current_app().publish(topic, encode_frame(data), namespace=namespace)


def peers(namespace: str | None = None) -> AsyncIterator[Peer]:
    """Walk the connected peers: those of this process, or all if the target can reach them.

    Args:
        namespace: The only namespace to walk; `None` walks all.

    Returns:
        An asynchronous iterator of peers.

    Raises:
        NitroError: No app runs in this process.

    Example:
        async for peer in peers():
            await peer.send("The server restarts soon.")
    """
    check_namespace(namespace)
    return current_app().hub.peers(namespace)


async def get_peer(id: str) -> Peer | None:
    """Return a peer by its id, to send to it or close it.

    Args:
        id: The peer's id.

    Returns:
        The peer; `None` if it is not connected, or cannot be reached from this process.

    Raises:
        NitroError: No app runs in this process.

    Example:
        if peer := await get_peer(event.params["id"]):
            await peer.close(1000, "moderated")
    """
    check_peer_id(id)
    return await current_app().hub.get_peer(id)
