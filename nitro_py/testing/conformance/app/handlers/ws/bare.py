"""A route that fails without an error hook."""

from __future__ import annotations

from nitro_py import Message, Peer, define_websocket_handler


async def message(peer: Peer, message: Message) -> None:
    raise RuntimeError("secret detail")


handler = define_websocket_handler(message=message)
