"""A chat: everybody who is connected sees what anybody writes."""

from nitro_py import Message, Peer, define_websocket_handler

TOPIC = "chat"


async def open(peer: Peer) -> None:
    await peer.send({"user": "server", "message": f"Welcome {peer}!"})
    await peer.publish(TOPIC, {"user": "server", "message": f"{peer} joined!"})
    await peer.subscribe(TOPIC)


async def message(peer: Peer, message: Message) -> None:
    if "ping" in message.text():
        await peer.send({"user": "server", "message": "pong"})
        return
    line = {"user": str(peer), "message": message.text()}
    await peer.send(line)
    await peer.publish(TOPIC, line)


async def close(peer: Peer) -> None:
    await peer.publish(TOPIC, {"user": "server", "message": f"{peer} left!"})


handler = define_websocket_handler(open=open, message=message, close=close)
