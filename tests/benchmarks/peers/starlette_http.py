"""A JSON route as Starlette's documentation writes it, alone and among others."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"message": "hello"})


async def item(request: Request) -> JSONResponse:
    return JSONResponse({"id": request.path_params["id"]})


others = [Route(f"/area{number}/{{id}}", item) for number in range(499)]
app = Starlette(routes=[Route("/hello", hello)])
# In the middle, as a route is on the average.
app_with_500 = Starlette(routes=[*others[:250], Route("/hello", hello), *others[250:]])
