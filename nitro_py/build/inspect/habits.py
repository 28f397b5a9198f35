"""What habits of other frameworks write into a route file, and the right lines in their place.

The tables hold all that is known of other frameworks. Files are looked at as source: imports may be missing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from nitro_py.runtime.routing.methods import METHODS

_WSGI = "with `from asgiref.wsgi import WsgiToAsgi` (package `asgiref`)"
_HANDLER = "`@define_handler` above `async def handler(event: Event)`"
_EVENT = "Take `event: Event`: it has `query`, `params`, `headers`, `cookies` and `await event.body()`."
_EACH_ROUTE = f"Give each route a file of its own, with {_HANDLER}: the path of the file is the path of the route."
_HOOKS = "`handler = define_websocket_handler(open=open, message=message, close=close)`"

# What is made at the top of a file: the names of its class → what it is, and the right lines; `{0}` is its name.
_MADE: dict[tuple[str, ...], tuple[str, str]] = {
    ("fastapi.FastAPI", "fastapi.applications.FastAPI"): (
        "the FastAPI application `{0}`",
        "Mount it: `handler = mount_asgi({0})`. Its paths go on from the path of this file.",
    ),
    ("fastapi.APIRouter", "fastapi.routing.APIRouter"): (
        "the FastAPI router `{0}`",
        "Mount an application that includes it: `app = FastAPI()`, `app.include_router({0})`, "
        "`handler = mount_asgi(app)`.",
    ),
    (
        "django.core.asgi.get_asgi_application",
        "litestar.Litestar",
        "quart.Quart",
        "starlette.applications.Starlette",
    ): (
        "the ASGI application `{0}`",
        "Mount it: `handler = mount_asgi({0})`. Its paths go on from the path of this file.",
    ),
    ("flask.Flask",): (
        "the Flask application `{0}`",
        f"Mount it: `handler = mount_asgi(WsgiToAsgi({{0}}))`, {_WSGI}.",
    ),
    ("bottle.Bottle", "django.core.wsgi.get_wsgi_application", "falcon.App"): (
        "the WSGI application `{0}`",
        f"Mount it: `handler = mount_asgi(WsgiToAsgi({{0}}))`, {_WSGI}.",
    ),
    ("flask.Blueprint",): (
        "the Flask blueprint `{0}`",
        "Mount an application that has it: `app = Flask(__name__)`, `app.register_blueprint({0})`, "
        f"`handler = mount_asgi(WsgiToAsgi(app))`, {_WSGI}.",
    ),
    ("socketio.AsyncServer", "socketio.AsyncSimpleServer"): (
        "the Socket.IO server `{0}`",
        f"Write functions in place of its events, and {_HOOKS}. For clients that speak Socket.IO, mount it: "
        "`handler = mount_asgi(socketio.ASGIApp({0}, socketio_path='PATH/socket.io'))`, PATH as of this file.",
    ),
    ("flask_socketio.SocketIO", "socketio.Server"): (
        "the Socket.IO server `{0}`",
        f"Write functions in place of its events, and {_HOOKS}; clients use `WebSocket` in place of Socket.IO.",
    ),
    (
        "aiohttp.web.Application",
        "aiohttp.web.RouteTableDef",
        "chalice.Chalice",
        "robyn.Robyn",
        "sanic.Sanic",
        "tornado.web.Application",
    ): ("the application `{0}` of another framework", _EACH_ROUTE),
}
# What decorators of other frameworks call the object that they belong to.
_DECORATED = ("app", "blueprint", "bp", "namespace", "router", "sio", "socketio")
_EVENTS = ("event", "on", "websocket")
# Names at the top of a file whose value is a list of routes.
_ROUTE_LISTS = ("router", "routes", "urlpatterns")
# Classes whose methods serve a socket, by the end of their bases' names.
_CONSUMERS = ("Consumer", "Namespace", "WebSocketEndpoint", "WebSocketHandler")
_CONSUMER_METHODS = {
    "connect": "open(peer)",
    "on_connect": "open(peer)",
    "open": "open(peer)",
    "on_message": "message(peer, message)",
    "on_receive": "message(peer, message)",
    "receive": "message(peer, message)",
    "receive_json": "message(peer, message)",
    "disconnect": "close(peer)",
    "on_close": "close(peer)",
    "on_disconnect": "close(peer)",
}
# Names of functions that serve a socket, and of their parameters.
_SOCKET_FUNCTIONS = {*_CONSUMER_METHODS, "websocket", "websocket_endpoint", "websocket_handler", "ws"} - {"open"}
_SOCKET_PARAMETERS = ("socket", "websocket", "ws")
_HOOK_NAMES = ("upgrade", "open", "message", "close", "error")
# Names by which a function is meant to be the one, the most telling first.
_MAIN_NAMES = ("handler", "handle", "default", "index", "main", "app", "route", "view")
# What works only inside of another framework's application, and the right line.
_FOREIGN: dict[str, str] = {
    "django.http.HttpResponse": "Return the value itself, or `Response(body, status, headers)`.",
    "django.http.JsonResponse": "Return the value itself: a `dict` or a `list` becomes JSON.",
    "flask.abort": 'Write `raise HTTPError(404, "no such user")`.',
    "flask.jsonify": "Return the value itself: a `dict` or a `list` becomes JSON.",
    "flask.make_response": "Return `Response(body, status, headers)`.",
    "flask.redirect": 'Return `Response(None, 302, {"location": "/"})`.',
    "flask.render_template": "Return the text of the page: "
    '`Response(text, headers={"content-type": "text/html; charset=utf-8"})`.',
    "flask.request": _EVENT,
    "quart.abort": 'Write `raise HTTPError(404, "no such user")`.',
    "quart.jsonify": "Return the value itself: a `dict` or a `list` becomes JSON.",
    "quart.request": _EVENT,
    "werkzeug.exceptions.abort": 'Write `raise HTTPError(404, "no such user")`.',
}
_MOUNTED = "mount_asgi"
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Habit:
    """What a file has in place of a handler.

    Args:
        found: What it is, in words.
        line: Where it stands.
        hint: The right lines.
        made: Whether it is an object that another framework makes.
    """

    found: str
    line: int
    hint: str
    made: bool = False


def find_habit(source: bytes, file: str) -> Habit | None:
    """Find what a file without a handler has in the place of one.

    Args:
        source: The file's source, valid Python.
        file: Its path, relative to the project, whose name may have a method.

    Example:
        >>> find_habit(b"def index(): ...", "handlers/a.py").found
        'the function `index()`'
    """
    tree = ast.parse(source)
    for look in (_find_made, _find_class, _find_function, _find_value):
        habit = look(tree, file)
        if habit is not None:
            return habit
    return (
        None if tree.body else Habit("an empty file", 1, f"Import `Event` and `define_handler`; write {_HANDLER}.")
    )


def find_foreign(source: bytes) -> Habit | None:
    """Find a function of another framework that works only inside of that framework's application.

    Args:
        source: The source of a file with a handler, valid Python.
    """
    tree = ast.parse(source)
    origins = _find_origins(tree)
    if _MOUNTED in {origin.rpartition(".")[2] for origin in origins.values()}:
        return None
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        origin = _name_origin(node, origins)
        if origin in _FOREIGN:
            framework = origin.partition(".")[0].capitalize()
            return Habit(f"`{ast.unparse(node)}` of {framework}", node.lineno, _FOREIGN[origin])
    return None


def find_unmade(source: bytes, file: str, name: str) -> Habit | None:
    """Find the first decorator of an object of another framework that the file does not make.

    Args:
        source: The file's source, valid Python.
        file: Its path, relative to the project.
        name: The name that is not defined.
    """
    if name not in _DECORATED:
        return None
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, _Function | ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            named = decorator.func if isinstance(decorator, ast.Call) else decorator
            parts = [*_walk_names(named)]
            if len(parts) > 1 and parts[0] == name:
                socket = parts[-1] in _EVENTS or (isinstance(node, _Function) and _serves_socket(node))
                hint = f"Write functions, and {_HOOKS}." if socket else _hint_at_route(file, node.name, parts[-1])
                return Habit(f"`@{'.'.join(parts)}`", decorator.lineno, hint)
    return None


def _hint_at_route(file: str, function: str, method: str) -> str:
    renamed = _with_method(file, method) if method.upper() in METHODS else PurePosixPath(file).name
    rename = f", and call the file `{renamed}`" if renamed != PurePosixPath(file).name else ""
    return (
        f"Write `@define_handler` above `{function}` in its place, and take `event: Event`{rename}: "
        "the path of the file is the path of the route."
    )


def _find_made(tree: ast.Module, file: str) -> Habit | None:
    origins = _find_origins(tree)
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Call):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        origin = _name_origin(node.value.func, origins)
        for names, (found, hint) in _MADE.items():
            if origin in names and isinstance(target, ast.Name):
                return Habit(found.format(target.id), node.lineno, hint.format(target.id), made=True)
    return None


def _find_class(tree: ast.Module, file: str) -> Habit | None:
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        methods = [item.name for item in node.body if isinstance(item, _Function)]
        bases = [ast.unparse(base) for base in node.bases]
        hooks = {name: _CONSUMER_METHODS[name] for name in methods if name in _CONSUMER_METHODS}
        if any(base.endswith(_CONSUMERS) for base in bases) or "connect" in hooks:
            listed = ", ".join(f"`{name}` is `async def {hook}`" for name, hook in hooks.items())
            hint = f"Write functions in place of methods{f': {listed}' if listed else ''}. Then {_HOOKS}."
            return Habit(f"the class `{node.name}`", node.lineno, hint)
        verbs = [name for name in methods if name.upper() in METHODS]
        if verbs:
            files = ", ".join(f"`{_with_method(file, verb)}`" for verb in verbs)
            hint = f"Give each method a file of its own ({files}), with {_HANDLER}."
            return Habit(f"the class `{node.name}` with {_list(verbs)}", node.lineno, hint)
    return None


def _find_function(tree: ast.Module, file: str) -> Habit | None:
    functions = {
        node.name: node for node in tree.body if isinstance(node, _Function) and not node.name.startswith("_")
    }
    hooks = [name for name in _HOOK_NAMES if name in functions]
    if "message" in hooks or {"open", "close"} <= {*hooks}:
        given = ", ".join(f"{name}={name}" for name in hooks)
        hint = f"Write below them: `handler = define_websocket_handler({given})`."
        return Habit(f"the hooks {_list(hooks)}", functions[hooks[-1]].lineno, hint)
    for function in functions.values():
        if _serves_socket(function):
            hint = (
                "Write hooks: `async def message(peer: Peer, message: Message)`, and "
                "`handler = define_websocket_handler(message=message)`."
            )
            return Habit(f"the function `{_sign(function)}`", function.lineno, hint)
    for function in functions.values():
        parameters = _list_parameters(function)
        if "lambda" in function.name or parameters == ["event", "context"]:
            hint = f"Write {_HANDLER}, and return the body itself: a `dict` becomes JSON."
            return Habit(f"the function `{_sign(function)}`", function.lineno, hint)
        if function.name.upper() in METHODS:
            name = _with_method(file, function.name)
            rename = "" if name == PurePosixPath(file).name else f"Rename the file to `{name}`, and write "
            hint = f"{rename or 'Write '}{_HANDLER}."
            return Habit(f"the function `{_sign(function)}`", function.lineno, hint)
    if not functions:
        return None
    chosen = next((functions[name] for name in _MAIN_NAMES if name in functions), [*functions.values()][-1])
    fits = _list_parameters(chosen) == ["event"]
    hint = (
        f"Write `@define_handler` above `{chosen.name}`{'' if fits else ', and take `event` alone'}; "
        "a helper's file name starts with `_`."
    )
    return Habit(f"the function `{_sign(chosen)}`", chosen.lineno, hint)


def _find_value(tree: ast.Module, file: str) -> Habit | None:
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        name = node.targets[0].id
        if name in _ROUTE_LISTS and isinstance(node.value, ast.List):
            return Habit(f"the list `{name}`", node.lineno, _EACH_ROUTE)
        if isinstance(node.value, ast.Lambda):
            hint = f"Write `{name} = define_handler({ast.unparse(node.value)})`."
            return Habit(f"the function `{name}`", node.lineno, hint)
        if name in ("default", "exports", "handler"):
            hint = f"Write {_HANDLER}; what it returns is the answer."
            return Habit(f"the value `{name}`", node.lineno, hint)
    return None


def _serves_socket(function: _Function) -> bool:
    annotations = [ast.unparse(item.annotation) for item in function.args.args if item.annotation is not None]
    return (
        function.name in _SOCKET_FUNCTIONS
        or any(name in _SOCKET_PARAMETERS for name in _list_parameters(function)[:1])
        or any(text.rpartition(".")[2] == "WebSocket" for text in annotations)
    )


def _list_parameters(function: _Function) -> list[str]:
    return [item.arg for item in (*function.args.posonlyargs, *function.args.args)]


def _sign(function: _Function) -> str:
    return f"{function.name}({', '.join(_list_parameters(function))})"


def _list(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _with_method(file: str, method: str) -> str:
    """Return the name of a file that serves one method."""
    stem = PurePosixPath(file).name.removesuffix(".py")
    parts = [part for part in stem.split(".") if part.upper() not in METHODS]
    return f"{parts[0]}.{method.lower()}{''.join(f'.{part}' for part in parts[1:])}.py"


def _find_origins(tree: ast.Module) -> dict[str, str]:
    """Map each name that a file imports to the name that it has where it comes from."""
    origins: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            origins |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                origins[alias.asname or first] = alias.name if alias.asname else first
    return origins


def _name_origin(node: ast.expr, origins: Mapping[str, str]) -> str | None:
    """Return the full name of what an expression names: `flask.Flask` of `flask.Flask` or of `Flask`."""
    parts = [*_walk_names(node)]
    if not parts or parts[0] not in origins:
        return None
    return ".".join([origins[parts[0]], *parts[1:]])


def _walk_names(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Attribute):
        inner = [*_walk_names(node.value)]
        if inner:
            yield from (*inner, node.attr)
    elif isinstance(node, ast.Name):
        yield node.id
