"""A route that mounts an application of its own, which has a lifespan and a route with a parameter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

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


routes = [Route("/", show), Route("/hello/{name}", show, methods=["GET", "POST"])]
handler = mount_asgi(Starlette(routes=routes, lifespan=live))
