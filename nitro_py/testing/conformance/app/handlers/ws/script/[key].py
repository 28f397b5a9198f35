"""A route that does what its client tells it, and keeps a journal of its hooks."""

from __future__ import annotations

import asyncio

from nitro_py import CloseDetails, Message, Peer, Upgrade, define_websocket_handler
from nitro_py.request import Request

from ..._actions import ACTIONS
from ..._journal import note


async def upgrade(request: Request) -> Upgrade:
    return Upgrade(namespace=request.query.get("namespace"))


async def open(peer: Peer) -> None:
    key = peer.params["key"]
    note(key, "open begins")
    if "slow" in peer.request.query:
        await asyncio.sleep(0.2)
    if "fail" in peer.request.query:
        raise ValueError("as told")
    note(key, "open ends")


async def message(peer: Peer, message: Message) -> None:
    order = message.json()
    await ACTIONS[order.pop("do")](peer, **order)


async def close(peer: Peer, details: CloseDetails) -> None:
    note(peer.params["key"], f"close {details.code} {details.reason}".strip())


async def error(peer: Peer, exc: Exception) -> None:
    note(peer.params["key"], f"error {type(exc).__name__}: {exc}")


handler = define_websocket_handler(upgrade=upgrade, open=open, message=message, close=close, error=error)
