"""The moves that two routes take, validated."""

from __future__ import annotations

from pydantic import BaseModel

from nitro_py import MessageValidationError, Peer


class Move(BaseModel):
    x: int
    y: int = 0


async def message(peer: Peer, move: Move) -> None:
    await peer.send({"type": type(move).__name__, "x": move.x + 1, "y": move.y})


async def error(peer: Peer, exc: Exception) -> None:
    assert isinstance(exc, MessageValidationError)
    await peer.send({"issues": [[issue["loc"], issue["type"]] for issue in exc.issues]})
