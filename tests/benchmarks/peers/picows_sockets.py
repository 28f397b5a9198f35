"""The chat and the echo on picows, without a framework: `python picows_sockets.py chat|echo PORT`."""

from __future__ import annotations

import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

members: set[WSTransport] = set()


class Chat(WSListener):  # type: ignore[misc]
    def on_ws_connected(self, transport: WSTransport) -> None:
        members.add(transport)
        transport.send(WSMsgType.TEXT, b"ready")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        payload = frame.get_payload_as_bytes()
        for member in members:
            if member is not transport:
                member.send(WSMsgType.TEXT, payload)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        members.discard(transport)


class Echo(WSListener):  # type: ignore[misc]
    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, b"ready")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        else:
            transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())


async def main(kind: str, port: int) -> None:
    listener = Chat if kind == "chat" else Echo
    server = await ws_create_server(lambda request: listener(), "127.0.0.1", port)
    await server.serve_forever()


uvloop.run(main(sys.argv[1], int(sys.argv[2])))
