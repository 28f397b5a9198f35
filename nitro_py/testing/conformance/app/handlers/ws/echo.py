"""A route that sends every message back as it came."""

from __future__ import annotations

from nitro_py import Message, Peer, define_websocket_handler


async def message(peer: Peer, message: Message) -> None:
    await peer.send(message.data)


handler = define_websocket_handler(message=message)
