"""Seeing in a handler's source that it returns what is refused when it runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path

# What makes a handler of a function, by the names of the arguments that are such functions.
_HANDLERS = {"define_handler": "handler", "define_websocket_handler": "http"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def find_status_tuples(root: Path, files: Sequence[str]) -> list[str]:
    """Describe each `return body, 201` of handlers: it would be a 500 for every client.

    Functions below other decorators are left alone, which may make something else of a tuple.

    Args:
        root: The project's folder.
        files: The route files, which have been imported.
    """
    found = []
    for file in sorted(set(files)):
        tree = ast.parse((root / file).read_bytes())
        for line, status in sorted({place for function in _find_handlers(tree) for place in _look(function)}):
            found.append(
                f"{file}:{line}: this handler returns a tuple of a body and the status {status}, which is "
                f"answered with 500: set `event.response.status = {status}` and return the body"
            )
    return found


def _find_handlers(tree: ast.Module) -> Iterator[_Function]:
    functions = {node.name: node for node in tree.body if isinstance(node, _Function)}
    for function in functions.values():
        if len(function.decorator_list) == 1 and _name_of(function.decorator_list[0]) == "define_handler":
            yield function
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        keyword = _HANDLERS.get(_name_of(call))
        given = [item.value for item in call.keywords if keyword and item.arg == keyword]
        if keyword == "handler":
            given += call.args[:1]
        for value in given:
            if isinstance(value, ast.Name) and value.id in functions and not functions[value.id].decorator_list:
                yield functions[value.id]


def _name_of(node: ast.expr) -> str:
    """Return the last part of what is called: `define_handler` of `nitro.define_handler()`."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _look(function: _Function) -> Iterator[tuple[int, int]]:
    """Find the line and the status of each tuple that a function returns."""
    values = _list_returned(function.body)
    while values:
        value = values.pop()
        if isinstance(value, ast.IfExp):
            values += [value.body, value.orelse]
        if isinstance(value, ast.Tuple) and 2 <= len(value.elts) <= 3:
            status = _read_status(value.elts[1])
            if status is not None and 100 <= status <= 599:
                yield value.lineno, status


def _list_returned(body: Sequence[ast.AST]) -> list[ast.expr]:
    """List what a function's own `return` statements return, without those of functions in it."""
    found = []
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return) and node.value is not None:
            found.append(node.value)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return found


def _read_status(node: ast.expr) -> int | None:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Attribute) and _name_of(node.value) == "HTTPStatus":
        status = HTTPStatus.__members__.get(node.attr)
        return None if status is None else status.value
    return None
