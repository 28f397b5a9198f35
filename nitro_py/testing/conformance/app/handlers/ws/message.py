"""A route that tells all that a message knows."""

from __future__ import annotations

from nitro_py import Message, MessageValidationError, Peer, define_websocket_handler


async def message(peer: Peer, message: Message) -> None:
    await peer.send(
        {
            "bytes": list(message.bytes()),
            "data": type(message.data).__name__,
            "id": message.id,
            "json": message.json(),
            "peer": message.peer is peer,
            "str": str(message) == message.text(),
            "text": message.text(),
        }
    )


async def error(peer: Peer, exc: Exception) -> None:
    await peer.send({"error": type(exc).__name__, "bad message": isinstance(exc, MessageValidationError)})


handler = define_websocket_handler(message=message, error=error)
