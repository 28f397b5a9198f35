"""The chat and the echo as Starlette's documentation writes sockets."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

members: set[WebSocket] = set()


async def chat(socket: WebSocket) -> None:
    await socket.accept()
    members.add(socket)
    try:
        await socket.send_text("ready")
        async for text in socket.iter_text():
            for member in list(members):
                if member is not socket:
                    await member.send_text(text)
    finally:
        members.discard(socket)


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("ready")
    async for text in socket.iter_text():
        await socket.send_text(text)


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def size(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


app = Starlette(
    routes=[
        WebSocketRoute("/chat", chat),
        WebSocketRoute("/echo", echo),
        Route("/hello", hello),
        Route("/size", size, methods=["POST"]),
    ]
)
