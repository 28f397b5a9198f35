"""A chat: everybody who is connected sees what anybody writes."""

from random import choice

from nitro_py import Message, Peer, Request, Upgrade, define_websocket_handler

from ._names import NAMES

TOPIC = "chat"


async def upgrade(request: Request) -> Upgrade:
    # A page that comes back asks for the name that it had.
    name = request.query.get("name")
    return Upgrade(context={"name": name if name in NAMES else choice(NAMES)})


async def open(peer: Peer) -> None:
    name = peer.context["name"]
    # First, so that the peer gets all that follows its welcome.
    await peer.subscribe(TOPIC)
    await peer.send({"user": "server", "message": f"Welcome {name}!"})
    await peer.publish(TOPIC, {"user": "server", "message": f"{name} joined!"})


async def message(peer: Peer, message: Message) -> None:
    if "ping" in message.text():
        await peer.send({"user": "server", "message": "pong"})
        return
    line = {"user": peer.context["name"], "message": message.text()}
    await peer.send(line)
    await peer.publish(TOPIC, line)


async def close(peer: Peer) -> None:
    await peer.publish(TOPIC, {"user": "server", "message": f"{peer.context['name']} left!"})


handler = define_websocket_handler(upgrade=upgrade, open=open, message=message, close=close)
