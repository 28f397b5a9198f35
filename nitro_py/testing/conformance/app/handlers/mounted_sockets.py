"""A route that mounts an application that has a socket."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from nitro_py import mount_asgi


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"mounted {text}")


handler = mount_asgi(Starlette(routes=[WebSocketRoute("/echo", echo)]))
