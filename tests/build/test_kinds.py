"""What a handler answers with, and what a mounted application serves, is seen in objects."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.inspect.load import load_routes
from nitro_py.build.scan import scan_handlers
from tests.bundles import write_files

IMPORTS = """
from __future__ import annotations
import functools, typing
from collections.abc import *
from typing import *
from nitro_py import *
from starlette.responses import *

if TYPE_CHECKING:
    from nitro_py import EventStream as Pushed
    from ._types import Later
"""
TYPES = "from collections.abc import AsyncIterator\nLater = AsyncIterator[str]\n"


def requirements(root: Path, text: str) -> tuple[str, ...]:
    """Write a route and return what it needs of its target."""
    write_files(root, {"handlers/a.py": IMPORTS + text, "handlers/_types.py": TYPES})
    (route,) = load_routes(root, scan_handlers(root, "handlers", (), "production"))
    return route.requires


@pytest.mark.parametrize(
    "text",
    [
        "Chunks = AsyncIterator[str]\n@define_handler\nasync def handler(event) -> Chunks: ...",
        "async def base(n, event) -> EventStream: ...\nhandler = define_handler(functools.partial(base, 1))",
        "class View:\n    async def __call__(self, event) -> AsyncIterator[str]:\n        yield ''\n"
        "handler = define_handler(View())",
        "class View:\n    def get(self, event) -> EventStream: ...\nhandler = define_handler(View().get)",
        "def auth(f):\n    @functools.wraps(f)\n    async def inner(event): return f(event)\n    return inner\n"
        "@define_handler\n@auth\nasync def handler(event):\n    yield ''",
        "@define_handler\nasync def handler(event) -> StreamingResponse: ...",
        "class Export(StreamingResponse): ...\n@define_handler\nasync def handler(event) -> Export: ...",
        "class Sent(Response):\n    def __init__(self, pieces):\n        self.body_iterator = pieces\n"
        "@define_handler\nasync def handler(event) -> Sent: ...",
        "@define_handler\nasync def handler(event) -> dict | EventStream: ...",
        "@define_handler\nasync def handler(event) -> Optional['EventStream']: ...",
        "@define_handler\ndef handler(event) -> Awaitable[EventStream]: ...",
        "@define_handler\nasync def handler(event) -> Annotated[EventStream, 'pushed']: ...",
        "Named = NewType('Named', EventStream)\n@define_handler\nasync def handler(event) -> Named: ...",
        "@define_handler\nasync def handler(event) -> Pushed: ...",
        "@define_handler\nasync def handler(event) -> Later: ...",
        "@define_handler\nasync def handler(event) -> typing.Iterator[bytes]: ...",
        "@define_handler(streams=True)\nasync def handler(event): ...",
        "async def page(event) -> EventStream: ...\nhandler = define_websocket_handler(http=page)",
        "handler = define_websocket_handler(http=define_handler(streams=True)(print))",
    ],
)
def test_stream(tmp_path: Path, text: str) -> None:
    assert "streaming" in requirements(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "class EventStream: ...\n@define_handler\nasync def handler(event) -> EventStream: ...",
        "class Iterator(TypedDict): ...\n@define_handler\nasync def handler(event) -> Iterator: ...",
        "@define_handler\nasync def handler(event) -> list[str]: ...",
        "@define_handler\nasync def handler(event) -> JSONResponse: ...",
        "@define_handler\nasync def handler(event) -> FileResponse: ...",
        "@define_handler\nasync def handler(event) -> NotThere: ...",
        "@define_handler\nasync def handler(event): ...",
        "handler = define_handler(print)",
        "async def page(event) -> dict: ...\nhandler = define_websocket_handler(http=page)",
    ],
)
def test_whole_answer(tmp_path: Path, text: str) -> None:
    assert "streaming" not in requirements(tmp_path, text)


# As `socketio.ASGIApp` is: it lists no routes, and takes what is for it by a path.
GATEWAY = """
class Gateway:
    def __init__(self, server, other_asgi_app=None):
        self.other_asgi_app = other_asgi_app
    async def __call__(self, scope, receive, send):
        if scope["type"] in ["http", "websocket"] and scope["path"].startswith("/socket.io/"):
            await self.server(scope, receive, send)
"""
MIDDLEWARE = """
class Sessions:
    def __init__(self, app, key=""):
        self.app = app
    async def __call__(self, scope, receive, send):
        if scope["type"] not in ("http", "websocket"):
            return
        await self.app(scope, receive, send)
async def plain(scope, receive, send):
    assert scope["type"] == "http"
async def echo(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
def with_route(app, kind):
    @getattr(app, kind)("/a")
    async def route(): ...
    return app
def with_router(kind):
    app = fastapi.FastAPI()
    app.include_router(with_route(fastapi.APIRouter(), kind))
    return app
import fastapi
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute
"""


@pytest.mark.parametrize(
    ("app", "sockets"),
    [
        ("Gateway(None)", True),
        ("Gateway(None, plain)", True),
        ("Sessions(Gateway(None))", True),
        ("Sessions(echo)", True),
        ("echo", True),
        ("functools.partial(echo)", True),
        ("Starlette(routes=[Mount('/a', app=Sessions(echo))])", True),
        ("Starlette(routes=[Mount('/a', routes=[WebSocketRoute('/b', print)])])", True),
        ("plain", False),
        ("Starlette(routes=[Route('/', print)])", False),
        ("Starlette(routes=[Mount('/a', app=Sessions(Starlette(routes=[Route('/', print)])))])", False),
        ("fastapi.FastAPI()", False),
        ("with_route(fastapi.FastAPI(), 'get')", False),
        ("with_route(fastapi.FastAPI(), 'websocket')", True),
        ("with_router('get')", False),
        ("with_router('websocket')", True),
        ("Sessions(plain)", False),
        ("Starlette(routes=[Mount('/a', app=plain)])", False),
    ],
)
def test_sockets_of_a_mounted_application(tmp_path: Path, app: str, *, sockets: bool) -> None:
    text = f"{GATEWAY}{MIDDLEWARE}handler = mount_asgi({app})"
    assert ("websocket.mounted" in requirements(tmp_path, text)) is sockets


def test_what_a_project_says_of_its_application_is_believed(tmp_path: Path) -> None:
    text = f"{GATEWAY}{MIDDLEWARE}handler = mount_asgi(Gateway(None), sockets=False)"
    assert "websocket.mounted" not in requirements(tmp_path, text)
