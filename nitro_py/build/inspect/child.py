"""The build's child process: imports handler files and describes what each of them defines."""

from __future__ import annotations

import ast
import json
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nitro_py.build.inspect.signatures import check_signatures, describe_call, find_application
from nitro_py.errors import NitroError
from nitro_py.handler import Handler
from nitro_py.middleware import Middleware
from nitro_py.mount import MountedApp
from nitro_py.plugins import Plugin
from nitro_py.runtime.routing.loader import find_exports, load_file
from nitro_py.websocket import WebSocketHandler

if TYPE_CHECKING:
    from nitro_py.runtime.routing.loader import AnyHandler

Findings = dict[str, dict[str, Any]]
HANDLER_TYPES: tuple[type[AnyHandler], ...] = (Handler, WebSocketHandler, MountedApp)


def main() -> None:
    """Read a request from standard input and write the findings to the file named by the first argument.

    To the second it writes the file that it begins with, a line of JSON each, should it not live on.
    """
    request = json.load(sys.stdin)
    root = Path(request["root"])
    looks: dict[str, Callable[[str], Any]] = {
        "middleware": lambda file: _expect_one(root, file, Middleware, "middleware"),
        "plugins": lambda file: _expect_one(root, file, Plugin, "plugin"),
        "routes": lambda file: describe_handler(_expect_handler(root, file)),
    }
    findings: Findings = {}
    with open(sys.argv[2], "w", encoding="ascii", buffering=1) as begun:
        for role, look in looks.items():
            for file in request[role]:
                begun.write(f"{json.dumps(file)}\n")
                findings[file] = inspect_file(root, file, look)
    Path(sys.argv[1]).write_text(json.dumps(findings), encoding="utf-8")


def inspect_file(root: Path, file: str, look: Callable[[str], Any]) -> dict[str, Any]:
    """Inspect one file, and describe what it defines, or the error and its place."""
    try:
        return {"found": look(file)}
    except NitroError as error:
        return _problem(error.message, error.file or file, error.line, error.hint)
    except SyntaxError as error:
        place = _relative(root, error.filename) or file
        text = (error.text or "").strip()
        # It is 0 where no line is to blame, but the encoding.
        line, hint = error.lineno or None, text and f"Look at: {text}"
        return _problem(f"`{place}` is not valid Python: {error.msg}.", place, line, hint)
    except ImportError as error:
        place, line = _last_place(root, file, error)
        return _problem(f"`{file}` cannot be imported: {error}.", place, line, _hint_at(error))
    except BaseException as error:  # whatever a handler's top level raises, SystemExit included
        place, line = _last_place(root, file, error)
        message = f"`{file}` failed while it was imported: {type(error).__name__}: {error}"
        return _problem(message, place, line, _hint_at_failure(error))


def describe_handler(handler: AnyHandler) -> dict[str, Any]:
    """Describe a handler in the manifest's words."""
    if isinstance(handler, WebSocketHandler):
        return {"kind": "websocket", "hooks": handler.hooks, "requires": ("websocket",), "mounted": False}
    if isinstance(handler, MountedApp):
        needs = ("http", "websocket.mounted") if has_sockets(handler.app) else ("http",)
        return {"kind": "http", "hooks": (), "requires": needs, "mounted": True}
    requires = (
        "http",
        *(("streaming",) if handler.streams else ()),
        *(("topics.sse",) if handler.topics else ()),
    )
    return {"kind": "sse" if handler.streams else "http", "hooks": (), "requires": requires, "mounted": False}


def has_sockets(application: object) -> bool:
    """Return whether an application has routes for sockets; those of Starlette's kind list theirs.

    Args:
        application: The application, or a route of one that holds others.

    Example:
        >>> has_sockets(Starlette(routes=[Mount("/ws", routes=[WebSocketRoute("/echo", echo)])]))
        True
    """
    # A file with such routes has loaded this; loading it here would slow each build of plain handlers.
    routing = sys.modules.get("starlette.routing")
    routes = getattr(application, "routes", None)
    if routing is None or not isinstance(routes, list | tuple):
        return False
    return any(isinstance(route, routing.WebSocketRoute) or has_sockets(route) for route in routes)


def _expect_handler(root: Path, file: str) -> AnyHandler:
    module = load_file(root, file)
    found = {name: item for kind in HANDLER_TYPES for name, item in find_exports(module, kind).items()}
    if len(found) == 1:
        handler = next(iter(found.values()))
        check_signatures(root, file, handler)
        return handler
    if not found:
        application = find_application(module)
        raise NitroError(
            f"`{file}` has no handler: expected exactly one.",
            file=file,
            line=_line_of(root, file, application) if application else 1,
            hint=f"Mount the application: `handler = mount_asgi({application})`."
            if application
            else "Decorate a function with `@define_handler`, or assign `handler = define_websocket_handler(…)`; "
            "a helper's file name starts with `_`.",
        )
    names = ", ".join(f"`{name}`" for name in found)
    raise NitroError(
        f"`{file}` has {len(found)} handlers: expected exactly one, got {names}.",
        file=file,
        line=_line_of(root, file, list(found)[1]),
        hint="Move each handler into a file of its own.",
    )


def _expect_one(root: Path, file: str, kind: type[Any], noun: str) -> None:
    found = find_exports(load_file(root, file), kind)
    if len(found) != 1:
        line = _line_of(root, file, list(found)[1]) if found else 1
        raise NitroError(
            f"`{file}` has {len(found) or 'no'} {noun}: expected exactly one.",
            file=file,
            line=line,
            hint=f"Decorate one function with `@define_{noun}`.",
        )
    check_signatures(root, file, next(iter(found.values())))


def _hint_at_failure(error: BaseException) -> str | None:
    """Return a hint for an error of an import, such as a `define_…` with wrong arguments."""
    called = re.match(r"`?(define_\w+)`?(\(\))? ", str(error)) if isinstance(error, TypeError) else None
    if called is None:
        return "Route files must import without side effects that can fail."
    return describe_call(called[1])


def _hint_at(error: ImportError) -> str:
    package = (error.name or "").partition(".")[0]
    # What was imported in part is there, and installing it again would not help.
    if package and package not in sys.modules:
        return f"Install `{package}`, or correct the import."
    return "Correct the import."


def _line_of(root: Path, file: str, name: str) -> int:
    """Find the line that binds a name at the top level of a file."""
    for node in ast.parse((root / file).read_bytes()).body:
        bound: set[str] = set()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound = {node.name}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound = {alias.asname or alias.name for alias in node.names}
        else:
            bound = {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
        if name in bound:
            return node.lineno
    return 1


def _last_place(root: Path, file: str, error: BaseException) -> tuple[str, int | None]:
    """Find the innermost line of the project that an exception passed through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        place = _relative(root, frame.filename)
        if place is not None:
            return place, frame.lineno
    return file, None


def _relative(root: Path, filename: str | None) -> str | None:
    if filename is None or "site-packages" in filename:
        return None
    path = Path(filename)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def _problem(message: str, file: str, line: int | None, hint: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "file": file, "line": line, "hint": hint or None}}


if __name__ == "__main__":
    main()
