"""A route that answers plain requests too."""

from __future__ import annotations

from nitro_py import Event, Message, Peer, define_websocket_handler


async def answer(event: Event) -> dict[str, str]:
    return {"plain": event.method}


async def message(peer: Peer, message: Message) -> None:
    await peer.send(message.text())


handler = define_websocket_handler(message=message, http=answer)
