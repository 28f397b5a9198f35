"""A route that decides on the upgrade in the way that the path names; what came of it is told on open."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from nitro_py import HTTPError, Peer, Request, Response, Upgrade, define_websocket_handler

from ..._journal import note


async def upgrade(request: Request) -> object:
    note(request.query.get("key", "upgrades"), f"upgrade {request.params['kind']}")
    match request.params["kind"]:
        case "response":
            return Response({"no": "entry"}, 403, {"x-why": "closed"})
        case "starlette":
            return PlainTextResponse("not today", 451)
        case "value":
            return {"a value": "refuses too"}
        case "error":
            raise HTTPError(402, "pay first", data={"price": 1})
        case "crash":
            raise RuntimeError("secret detail")
        case "starlette_error":
            raise HTTPException(401, "who are you")
        case "returned":
            return HTTPError(409)
        case "data":
            raise HTTPError(400, data=ValueError())
        case "nan_value":
            return {"a value": float("nan")}
        case "field":
            return Upgrade(headers={"x-room": "blue\r\nx-smuggled: yes"})
        case "handshake":
            return Upgrade(headers={"Sec-WebSocket-Accept": "forged"})
        case "own_protocol":
            return Upgrade(headers={"sec-websocket-protocol": "chat.v2"})
        case "headers":
            return Upgrade(headers={"x-room": "blue", "set-cookie": "seat=7"})
        case "protocol":
            return Upgrade(protocol="chat.v2")
        case "context":
            return Upgrade(context={"name": request.query["name"], "cookie": request.cookies["id"]})
        case "namespace":
            return Upgrade(namespace="shared")
    return None


async def open(peer: Peer) -> None:
    note(peer.request.query.get("key", "upgrades"), "open")
    await peer.send({"context": peer.context, "namespace": peer.namespace, "protocol": peer.protocol})


async def close(peer: Peer) -> None:
    note(peer.request.query.get("key", "upgrades"), "close")


handler = define_websocket_handler(upgrade=upgrade, open=open, close=close)
