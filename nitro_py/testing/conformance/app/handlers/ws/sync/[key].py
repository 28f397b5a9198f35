"""A route that has plain functions as hooks, and a close hook that asks for the peer only."""

from __future__ import annotations

from nitro_py import Message, Peer, Request, Upgrade, define_websocket_handler

from ..._journal import note


def upgrade(request: Request) -> Upgrade:
    note(request.params["key"], "upgrade")
    return Upgrade(context={"word": "sync"})


def open(peer: Peer) -> None:
    note(peer.params["key"], f"open {peer.context['word']}")


def message(peer: Peer, message: Message) -> None:
    note(peer.params["key"], f"message {message}")
    if message.data == "fail":
        raise ValueError("as told")
    if message.data == "forget":
        peer.send("never sent")  # type: ignore[unused-coroutine]


def close(peer: Peer) -> None:
    note(peer.params["key"], "close")


def error(peer: Peer, exc: Exception) -> None:
    note(peer.params["key"], f"error {exc}")


handler = define_websocket_handler(upgrade=upgrade, open=open, message=message, close=close, error=error)
