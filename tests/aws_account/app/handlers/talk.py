"""A socket that answers with what it gets, and counts how often it was closed."""

from nitro_py import Message, Peer, Request, Upgrade, define_websocket_handler, storage


async def upgrade(request: Request) -> Upgrade:
    wanted = request.headers.get("sec-websocket-protocol")
    return Upgrade(context={"note": request.query.get("note")}, protocol="check" if wanted else None)


async def open(peer: Peer) -> None:
    await peer.send({"id": peer.id, "note": peer.context["note"], "address": peer.remote_address})


async def message(peer: Peer, message: Message) -> None:
    await peer.send({"text": message.text()})


async def close(peer: Peer) -> None:
    await storage().increment(f"closed-{peer.id}")


handler = define_websocket_handler(upgrade=upgrade, open=open, message=message, close=close)
