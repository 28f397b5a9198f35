"""JSON routes on Starlette, brought to Lambda by Mangum."""

from __future__ import annotations

import os

from mangum import Mangum
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"message": "hello"})


app = Starlette(routes=[Route(f"/route{number}", hello) for number in range(int(os.environ["ROUTES"]))])
handler = Mangum(app, lifespan="off")
