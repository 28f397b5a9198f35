"""Mounts an application of its own, which has a lifespan, a route with a parameter and a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from nitro_py import mount_asgi

LIFE: list[str] = []


@asynccontextmanager
async def live(app: Starlette) -> AsyncIterator[dict[str, str]]:
    LIFE.append("started")
    yield {"word": "from the lifespan"}


async def show(request: Request) -> JSONResponse:
    return JSONResponse(
        {
            "body": (await request.body()).decode(),
            "life": LIFE,
            "name": request.path_params.get("name"),
            "root_path": request.scope["root_path"],
            "word": request.state.word,
        }
    )


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"mounted {text}")


routes = [Route("/", show), Route("/hello/{name}", show, methods=["GET", "POST"]), WebSocketRoute("/echo", echo)]
handler = mount_asgi(Starlette(routes=routes, lifespan=live))
