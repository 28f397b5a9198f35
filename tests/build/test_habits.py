"""What a user reads who writes into a route file what another framework would take."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from nitro_py.build.inspect.habits import find_foreign, find_habit
from nitro_py.build.inspect.load import load_routes
from nitro_py.build.scan import scan_handlers
from nitro_py.errors import BuildError
from nitro_py.testing import client
from tests.bundles import write_files

# The file, its source, and all that is said about it.
CASES = [
    (
        "a.py",
        ("from fastapi import FastAPI\n\napp = FastAPI()\n\n@app.get('/x')\nasync def show(): ...\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the FastAPI application "
            "`app`.\n"
            "  at handlers/a.py:3\n"
            "  hint: Mount it: `handler = mount_asgi(app)`. Its paths go on from the path of this "
            "file."
        ),
    ),
    (
        "a.py",
        ("from fastapi import APIRouter\n\nrouter = APIRouter()\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the FastAPI router `router`.\n"
            "  at handlers/a.py:3\n"
            "  hint: Mount an application that includes it: `app = FastAPI()`, "
            "`app.include_router(router)`, `handler = mount_asgi(app)`."
        ),
    ),
    (
        "a.py",
        ("from flask import Flask\napp = Flask(__name__)\n@app.route('/x')\ndef show(): ...\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the Flask application `app`.\n"
            "  at handlers/a.py:2\n"
            "  hint: Mount it: `handler = mount_asgi(WsgiToAsgi(app))`, with `from asgiref.wsgi "
            "import WsgiToAsgi` (package `asgiref`)."
        ),
    ),
    (
        "a.py",
        ("import flask\nbp = flask.Blueprint('a', __name__)\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the Flask blueprint `bp`.\n"
            "  at handlers/a.py:2\n"
            "  hint: Mount an application that has it: `app = Flask(__name__)`, "
            "`app.register_blueprint(bp)`, `handler = mount_asgi(WsgiToAsgi(app))`, with `from "
            "asgiref.wsgi import WsgiToAsgi` (package `asgiref`)."
        ),
    ),
    (
        "a.py",
        (
            "import socketio\n"
            "sio = socketio.AsyncServer(async_mode='asgi')\n"
            "@sio.on('message')\n"
            "async def got(sid, data): ...\n"
        ),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the Socket.IO server `sio`.\n"
            "  at handlers/a.py:2\n"
            "  hint: Write functions in place of its events, and `handler = "
            "define_websocket_handler(open=open, message=message, close=close)`. For clients that "
            "speak Socket.IO, mount it: `handler = mount_asgi(socketio.ASGIApp(sio, "
            "socketio_path='PATH/socket.io'))`, PATH as of this file."
        ),
    ),
    (
        "a.py",
        ("from chalice import Chalice\napp = Chalice('x')\n"),
        (
            "`handlers/a.py` cannot be imported: No module named 'chalice'.\n"
            "  at handlers/a.py:1\n"
            "  hint: Install the package that provides `chalice`, which may have another name, or "
            "correct the import. Give each route a file of its own, with `@define_handler` above "
            "`async def handler(event: Event)`: the path of the file is the path of the route."
        ),
    ),
    (
        "a.py",
        ("from starlette.applications import Starlette\n\nshop = Starlette()\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the ASGI application `shop`.\n"
            "  at handlers/a.py:3\n"
            "  hint: Mount it: `handler = mount_asgi(shop)`. Its paths go on from the path of this "
            "file."
        ),
    ),
    (
        "a.py",
        ("async def websocket(ws):\n    await ws.accept()\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the function `websocket(ws)`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Write hooks: `async def message(peer: Peer, message: Message)`, and `handler = "
            "define_websocket_handler(message=message)`."
        ),
    ),
    (
        "a.py",
        ("from fastapi import WebSocket\n\nasync def websocket_endpoint(websocket: WebSocket): ...\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the function "
            "`websocket_endpoint(websocket)`.\n"
            "  at handlers/a.py:3\n"
            "  hint: Write hooks: `async def message(peer: Peer, message: Message)`, and `handler = "
            "define_websocket_handler(message=message)`."
        ),
    ),
    (
        "a.py",
        ("async def on_message(ws, data): ...\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the function `on_message(ws, "
            "data)`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Write hooks: `async def message(peer: Peer, message: Message)`, and `handler = "
            "define_websocket_handler(message=message)`."
        ),
    ),
    (
        "a.py",
        (
            "from channels.generic.websocket import AsyncWebsocketConsumer\n"
            "\n"
            "class Chat(AsyncWebsocketConsumer):\n"
            "    async def connect(self): ...\n"
            "    async def receive(self, text_data): ...\n"
            "    async def disconnect(self, code): ...\n"
        ),
        (
            "`handlers/a.py` cannot be imported: No module named 'channels'.\n"
            "  at handlers/a.py:1\n"
            "  hint: Install the package that provides `channels`, which may have another name, or "
            "correct the import. Write functions in place of methods: `connect` is `async def "
            "open(peer)`, `receive` is `async def message(peer, message)`, `disconnect` is `async "
            "def close(peer)`. Then `handler = define_websocket_handler(open=open, message=message, "
            "close=close)`."
        ),
    ),
    (
        "a.py",
        ("class Chat:\n    def connect(self): ...\n    def disconnect(self, code): ...\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the class `Chat`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Write functions in place of methods: `connect` is `async def open(peer)`, "
            "`disconnect` is `async def close(peer)`. Then `handler = "
            "define_websocket_handler(open=open, message=message, close=close)`."
        ),
    ),
    (
        "a.py",
        ("async def open(peer): ...\n\nasync def message(peer, message): ...\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the hooks `open`, `message`.\n"
            "  at handlers/a.py:3\n"
            "  hint: Write below them: `handler = define_websocket_handler(open=open, "
            "message=message)`."
        ),
    ),
    (
        "a.py",
        ("def handler(event, context):\n    return {'statusCode': 200}\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the function "
            "`handler(event, context)`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Write `@define_handler` above `async def handler(event: Event)`, and return the "
            "body itself: a `dict` becomes JSON."
        ),
    ),
    (
        "a.py",
        ("def lambda_handler(event, context): ...\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the function "
            "`lambda_handler(event, context)`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Write `@define_handler` above `async def handler(event: Event)`, and return the "
            "body itself: a `dict` becomes JSON."
        ),
    ),
    (
        "a.py",
        ("def get(request): ...\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the function `get(request)`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Rename the file to `a.get.py`, and write `@define_handler` above `async def "
            "handler(event: Event)`."
        ),
    ),
    (
        "a.get.py",
        ("async def GET(request): ...\n"),
        (
            "`handlers/a.get.py` has no handler: expected exactly one, got the function "
            "`GET(request)`.\n"
            "  at handlers/a.get.py:1\n"
            "  hint: Write `@define_handler` above `async def handler(event: Event)`."
        ),
    ),
    (
        "a.get.py",
        ("async def handler(event): ...\n"),
        (
            "`handlers/a.get.py` has no handler: expected exactly one, got the function "
            "`handler(event)`.\n"
            "  at handlers/a.get.py:1\n"
            "  hint: Write `@define_handler` above `handler`; a helper's file name starts with `_`."
        ),
    ),
    (
        "a.py",
        ("def main(req): ...\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the function `main(req)`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Write `@define_handler` above `main`, and take `event` alone; a helper's file "
            "name starts with `_`."
        ),
    ),
    (
        "a.py",
        ("import json\n\nasync def index(): ...\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the function `index()`.\n"
            "  at handlers/a.py:3\n"
            "  hint: Write `@define_handler` above `index`, and take `event` alone; a helper's file "
            "name starts with `_`."
        ),
    ),
    (
        "a.py",
        ("def show(event): ...\n\ndefault = show\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the function `show(event)`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Write `@define_handler` above `show`; a helper's file name starts with `_`."
        ),
    ),
    (
        "a.py",
        ("default = {'get': 1}\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the value `default`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Write `@define_handler` above `async def handler(event: Event)`; what it "
            "returns is the answer."
        ),
    ),
    (
        "a.py",
        ("handler = lambda event: 1\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the function `handler`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Write `handler = define_handler(lambda event: 1)`."
        ),
    ),
    (
        "a.py",
        ("class Index:\n    def get(self): ...\n    def post(self): ...\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the class `Index` with `get`, "
            "`post`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Give each method a file of its own (`a.get.py`, `a.post.py`), with "
            "`@define_handler` above `async def handler(event: Event)`."
        ),
    ),
    (
        "a.py",
        ("urlpatterns = []\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one, got the list `urlpatterns`.\n"
            "  at handlers/a.py:1\n"
            "  hint: Give each route a file of its own, with `@define_handler` above `async def "
            "handler(event: Event)`: the path of the file is the path of the route."
        ),
    ),
    (
        "a.py",
        (""),
        (
            "`handlers/a.py` has no handler: expected exactly one, got an empty file.\n"
            "  at handlers/a.py:1\n"
            "  hint: Import `Event` and `define_handler`; write `@define_handler` above `async def "
            "handler(event: Event)`."
        ),
    ),
    (
        "a.py",
        ("'''Words only.'''\n"),
        (
            "`handlers/a.py` has no handler: expected exactly one.\n"
            "  at handlers/a.py:1\n"
            "  hint: Write `@define_handler` above a function, or `handler = "
            "define_websocket_handler(…)`; a helper's file name starts with `_`."
        ),
    ),
    (
        "a.py",
        ("export default function handler(event) { }\n"),
        (
            "`handlers/a.py` is not valid Python: invalid syntax.\n"
            "  at handlers/a.py:1\n"
            "  hint: Look at: export default function handler(event) { }. In Python, write "
            "`@define_handler` above a function, or `handler = define_websocket_handler(…)`."
        ),
    ),
    (
        "a.py",
        (
            "from nitro_py import define_handler\n"
            "from fastapi import Request\n"
            "\n"
            "@define_handler\n"
            "async def handler(request: Request): ...\n"
        ),
        (
            "`handler` of `handlers/a.py` takes `request: Request`, and is called with an `Event`.\n"
            "  at handlers/a.py:5\n"
            "  hint: Take `event: Event`; `event.request` is Starlette's request."
        ),
    ),
    (
        "[id].get.py",
        ("from nitro_py import define_handler\n\n@define_handler\nasync def handler(id: int): ...\n"),
        (
            "`handler` of `handlers/[id].get.py` takes `id: int`, and is called with an `Event`.\n"
            "  at handlers/[id].get.py:4\n"
            '  hint: Take `event: Event`, and read `event.params["id"]`.'
        ),
    ),
    (
        "[id].get.py",
        ("from nitro_py import define_handler\n\n@define_handler\nasync def handler(id): ...\n"),
        (
            "`handler` of `handlers/[id].get.py` takes `id`, and is called with an `Event`.\n"
            "  at handlers/[id].get.py:4\n"
            '  hint: Take `event: Event`, and read `event.params["id"]`.'
        ),
    ),
    (
        "[id].get.py",
        ("from nitro_py import define_handler\n\n@define_handler\nasync def handler(event, id): ...\n"),
        (
            "`handler` of `handlers/[id].get.py` is called as `handler(event)`, and takes `(event, "
            "id)`.\n"
            "  at handlers/[id].get.py:3\n"
            '  hint: Take `event` alone, and read `event.params["id"]`.'
        ),
    ),
    (
        "[id].get.py",
        ("from nitro_py import define_handler\n\n@define_handler\nasync def handler(event, id=None): ...\n"),
        (
            "`id` of `handler` in `handlers/[id].get.py` is never given: only `event` is.\n"
            "  at handlers/[id].get.py:4\n"
            '  hint: Read it from the event: `id = event.params.get("id")`.'
        ),
    ),
    (
        "a.get.py",
        (
            "from nitro_py import define_handler\n"
            "\n"
            "@define_handler\n"
            "async def handler(event, q: str | None = None): ...\n"
        ),
        (
            "`q` of `handler` in `handlers/a.get.py` is never given: only `event` is.\n"
            "  at handlers/a.get.py:4\n"
            '  hint: Read it from the event: `q = event.query.get("q")`.'
        ),
    ),
    (
        "a.post.py",
        (
            "from nitro_py import define_handler\n"
            "from pydantic import BaseModel\n"
            "\n"
            "class User(BaseModel):\n"
            "    name: str\n"
            "\n"
            "@define_handler\n"
            "async def handler(user: User): ...\n"
        ),
        (
            "`handler` of `handlers/a.post.py` takes `user: User`, and is called with an `Event`.\n"
            "  at handlers/a.post.py:8\n"
            "  hint: Take `event: Event`, and read the body: `user = await "
            "read_validated_body(event, User)`."
        ),
    ),
    (
        "a.get.py",
        ("from nitro_py import define_handler\n\n@define_handler\nasync def handler(body: dict): ...\n"),
        (
            "`handler` of `handlers/a.get.py` takes `body: dict`, and is called with an `Event`.\n"
            "  at handlers/a.get.py:4\n"
            "  hint: Take `event: Event`: it has `event.params`, `event.query`, `event.request` and "
            "`await event.body()`."
        ),
    ),
    (
        "a.get.py",
        (
            "from nitro_py import define_handler\n"
            "from fastapi import Depends\n"
            "\n"
            "def get_database(): ...\n"
            "\n"
            "@define_handler\n"
            "async def handler(\n"
            "    event, database=Depends(get_database)\n"
            "): ...\n"
        ),
        (
            "`database` of `handler` in `handlers/a.get.py` has the default `Depends(…)`, which only "
            "FastAPI fills in.\n"
            "  at handlers/a.get.py:8\n"
            "  hint: Call it in the function: `database = get_database()`; what lasts as long as the "
            "app belongs in a plugin."
        ),
    ),
    (
        "a.get.py",
        (
            "from nitro_py import define_handler\n"
            "from fastapi import Header\n"
            "\n"
            "@define_handler\n"
            "async def handler(event, user_agent: str = Header()): ...\n"
        ),
        (
            "`user_agent` of `handler` in `handlers/a.get.py` has the default `Header(…)`, which "
            "only FastAPI fills in.\n"
            "  at handlers/a.get.py:5\n"
            '  hint: Read it from the event: `user_agent = event.headers.get("user-agent")`.'
        ),
    ),
    (
        "a.get.py",
        (
            "from nitro_py import define_handler\n"
            "from flask import jsonify\n"
            "\n"
            "@define_handler\n"
            "async def handler(event):\n"
            "    return jsonify({})\n"
        ),
        (
            "`handlers/a.get.py` uses `jsonify` of Flask, which works only inside of an application "
            "of that framework.\n"
            "  at handlers/a.get.py:6\n"
            "  hint: Return the value itself: a `dict` or a `list` becomes JSON."
        ),
    ),
    (
        "a.get.py",
        (
            "from nitro_py import define_handler\n"
            "from flask import abort\n"
            "\n"
            "@define_handler\n"
            "async def handler(event):\n"
            "    abort(404)\n"
        ),
        (
            "`handlers/a.get.py` uses `abort` of Flask, which works only inside of an application of "
            "that framework.\n"
            "  at handlers/a.get.py:6\n"
            '  hint: Write `raise HTTPError(404, "no such user")`.'
        ),
    ),
    (
        "a.get.py",
        (
            "import flask\n"
            "from nitro_py import define_handler\n"
            "\n"
            "@define_handler\n"
            "async def handler(event):\n"
            "    return flask.request.args\n"
        ),
        (
            "`handlers/a.get.py` uses `flask.request` of Flask, which works only inside of an "
            "application of that framework.\n"
            "  at handlers/a.get.py:6\n"
            "  hint: Take `event: Event`: it has `query`, `params`, `headers`, `cookies` and `await "
            "event.body()`."
        ),
    ),
    (
        "a.py",
        (
            "from nitro_py import define_websocket_handler\n"
            "from fastapi import WebSocket\n"
            "\n"
            "async def message(websocket: WebSocket, data): ...\n"
            "\n"
            "handler = define_websocket_handler(message=message)\n"
        ),
        (
            "`message` of `handlers/a.py` takes `websocket: WebSocket`, and is called with a `Peer`.\n"
            "  at handlers/a.py:4\n"
            "  hint: Take `peer: Peer`: it has `await peer.send(…)`, and each message is given to "
            "the hook `message`."
        ),
    ),
]


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Load a project of all these files at once, and return all that is said."""
    files = {f"handlers/case{number}/{file}": source for number, (file, source, _) in enumerate(CASES)}
    root = write_files(tmp_path_factory.mktemp("habits"), files)
    with pytest.raises(BuildError) as caught:
        load_routes(root, scan_handlers(root, "handlers", (), "production"))
    assert caught.value.message.startswith(f"{len(CASES)} problems were found.")
    return str(caught.value)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_habit_gets_the_right_line(problems: str, number: int) -> None:
    file, source, said = CASES[number]
    lines = [line.split() for line in source.splitlines() if line.startswith(("from ", "import "))]
    lacking = [words[1] for words in lines if find_spec(words[1].partition(".")[0]) is None]
    if not lacking and "cannot be imported" in said:
        pytest.skip("what this file imports is installed")
    expected = said.replace(f"handlers/{file}", f"handlers/case{number}/{file}")
    if lacking and "cannot be imported" not in said:
        # What is said then begins with the package that is not there; the hint is the same.
        habit = find_habit(source.encode(), file) or find_foreign(source.encode())
        assert habit is not None
        assert expected.endswith(f"  at handlers/case{number}/{file}:{habit.line}\n  hint: {habit.hint}")
        return
    assert f"\n{expected}\n" in f"{problems}\n"


def load(root: Path, sources: list[str]) -> int:
    """Load a project of some route files, and return how many routes it has."""
    write_files(root, {f"handlers/case{number}.py": source for number, source in enumerate(sources)})
    return len(load_routes(root, scan_handlers(root, "handlers", (), "production")))


RIGHT = [
    "from nitro_py import Event\n@define_handler\ndef handler(event: Event): ...",
    "from typing import Any\n@define_handler\ndef handler(event: Any): ...",
    "@define_handler\ndef handler(event: object): ...",
    "@define_handler\ndef handler(event: 'Unknown'): ...",
    "from nitro_py import Event\n@define_handler\ndef handler(event: Event | None): ...",
    "from nitro_py import Event\nclass Own(Event): ...\n@define_handler\ndef handler(event: Own): ...",
    "from typing import Protocol\nclass Asked(Protocol):\n    path: str\n"
    "@define_handler\ndef handler(event: Asked): ...",
    # A default of one's own is no parameter of a query.
    "STORE = {}\n@define_handler\ndef handler(event, store: dict = STORE): ...",
    "@define_handler\ndef handler(*events: int): ...",
    # It answers as Starlette's does.
    "from fastapi.responses import JSONResponse\n@define_handler\ndef handler(event): ...",
]
# A mounted application may use what is its framework's.
FLASK = (
    "from nitro_py import mount_asgi\nfrom flask import jsonify\n"
    "async def app(scope, receive, send): jsonify()\nhandler = mount_asgi(app)"
)


def test_what_is_right_is_taken(tmp_path: Path) -> None:
    sources = [*RIGHT, *([FLASK] if find_spec("flask") else [])]
    assert load(tmp_path, [f"from nitro_py import define_handler\n{source}" for source in sources]) == len(sources)


MOUNTED = {
    "flask": """
        from asgiref.wsgi import WsgiToAsgi
        from flask import Blueprint, Flask, jsonify
        from nitro_py import mount_asgi

        bp = Blueprint("shop", __name__)

        @bp.get("/x")
        def show():
            return jsonify({"from": "flask"})

        app = Flask(__name__)
        app.register_blueprint(bp)
        handler = mount_asgi(WsgiToAsgi(app))
        """,
    "fastapi": """
        from fastapi import APIRouter, FastAPI
        from nitro_py import mount_asgi

        router = APIRouter()

        @router.get("/x")
        async def show():
            return {"from": "fastapi"}

        app = FastAPI()
        app.include_router(router)
        handler = mount_asgi(app)
        """,
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["fastapi", "flask"])
async def test_lines_that_hints_show_work(tmp_path: Path, name: str) -> None:
    pytest.importorskip(name)
    if name == "flask":
        pytest.importorskip("asgiref")
    async with client(write_files(tmp_path, {"handlers/habits.py": MOUNTED[name]})) as app:
        assert (await app.get("/habits/x")).json() == {"from": name}


@pytest.mark.anyio
async def test_answers_and_errors_of_fastapi_work_in_handlers(tmp_path: Path) -> None:
    source = """
        from fastapi import HTTPException
        from fastapi.responses import JSONResponse
        from nitro_py import define_handler

        @define_handler
        async def handler(event):
            if event.query.get("fail"):
                raise HTTPException(409, {"why": "sold out"}, headers={"x-own": "yes"})
            return JSONResponse({"ok": True}, 201)
        """
    async with client(write_files(tmp_path, {"handlers/answers.py": source})) as app:
        answer = await app.get("/answers")
        assert (answer.status, answer.json()) == (201, {"ok": True})
        answer = await app.get("/answers?fail=1")
        assert (answer.status, answer.headers["x-own"]) == (409, "yes")
        assert answer.json()["data"] == {"why": "sold out"}


@pytest.mark.parametrize(
    ("decorator", "line", "hint"),
    [
        (
            "@app.get('/items')",
            3,
            "Write `@define_handler` above `show` in its place, and take `event: Event`, "
            "and call the file `a.get.py`: the path of the file is the path of the route.",
        ),
        (
            "@bp.route('/items')",
            3,
            "Write `@define_handler` above `show` in its place, and take `event: Event`: "
            "the path of the file is the path of the route.",
        ),
        (
            "@sio.on('message')",
            3,
            "Write functions, and `handler = define_websocket_handler(open=open, message=message, close=close)`.",
        ),
        (
            "@router.websocket('/ws')",
            3,
            "Write functions, and `handler = define_websocket_handler(open=open, message=message, close=close)`.",
        ),
        ("@other.get('/items')", 3, "Route files must import without side effects that can fail."),
    ],
)
def test_decorator_of_an_object_that_is_not_there(tmp_path: Path, decorator: str, line: int, hint: str) -> None:
    source = f"x = 1\n\n{decorator}\nasync def show(): ...\n"
    write_files(tmp_path, {"handlers/a.py": source})
    with pytest.raises(BuildError) as caught:
        load_routes(tmp_path, scan_handlers(tmp_path, "handlers", (), "production"))
    name = decorator[1:].partition(".")[0]
    assert str(caught.value) == (
        f"`handlers/a.py` failed while it was imported: NameError: name '{name}' is not defined\n"
        f"  at handlers/a.py:{line}\n"
        f"  hint: {hint}"
    )
