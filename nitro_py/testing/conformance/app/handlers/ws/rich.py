"""Sends what JSON cannot hold as it is, and what a client has sent."""

from __future__ import annotations

from nitro_py import Message, Peer, Request, Upgrade, define_websocket_handler

from .._values import HALF, RICH


async def upgrade(request: Request) -> Upgrade:
    return Upgrade(context={"cookies": dict(request.cookies), "name": request.query["name"]})


async def open(peer: Peer) -> None:
    await peer.send(peer.context)
    await peer.subscribe("rich")


async def message(peer: Peer, message: Message) -> None:
    match message.text():
        case "rich":
            await peer.send(RICH)
        case "publish":
            await peer.publish("rich", RICH, include_self=True)
        case "text":
            await peer.send(f"cut {HALF}")
        case _:
            await peer.publish("rich", message.json(), include_self=True)


handler = define_websocket_handler(upgrade=upgrade, open=open, message=message)
