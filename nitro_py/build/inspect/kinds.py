"""Seeing in objects, not in words, what a handler answers with and what a mounted application serves."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from types import CodeType, FunctionType, UnionType
from typing import Annotated, Any, ForwardRef, Union, get_args, get_origin

from nitro_py.response import StreamedResponse
from nitro_py.runtime.annotations import find_function, list_layers, list_names, read_annotations

_STREAMS = (StreamedResponse, AsyncIterator, Iterator)
_STREAM_NAMES = frozenset(
    {
        "AsyncGenerator",
        "AsyncIterable",
        "AsyncIterator",
        "EventStream",
        "Generator",
        "Iterator",
        "StreamingResponse",
    }
)
# What a response of Starlette's kind keeps its pieces in.
_PIECES = "body_iterator"
# Where applications keep those that they pass requests on to.
_INNER = ("app", "application", "asgi_app", "other_asgi_app")
_SOCKETS = "websocket"
# What a FastAPI application keeps a router in that it includes.
_INCLUDED = "original_router"


def promises_stream(function: Callable[..., Any]) -> bool:
    """Return whether a function is a generator, or is annotated to return what is sent piece by piece.

    Example:
        >>> def count() -> Iterator[str]: ...
        >>> promises_stream(count)
        True
    """
    return is_generator(function) or any(map(_is_streamed, find_returned(function))) or _names_stream(function)


def find_returned(function: Callable[..., Any]) -> list[type]:
    """List the classes that a function is annotated to return: each of a union, and what an alias stands for."""
    inner = find_function(function)
    if inner is None:
        return []
    return [*_find_classes(read_annotations(inner).get("return"), list_names(inner), inner)]


def find_annotated(function: Callable[..., Any], parameter: str) -> list[type]:
    """List the classes that a parameter is annotated with: each of a union, and what an alias stands for."""
    inner = find_function(function)
    if inner is None:
        return []
    return [*_find_classes(read_annotations(inner).get(parameter), list_names(inner), inner)]


def is_generator(function: Callable[..., Any]) -> bool:
    """Return whether calling a function makes a generator, through whatever wraps it."""
    return any(
        inspect.isgeneratorfunction(item) or inspect.isasyncgenfunction(item) for item in list_layers(function)
    )


def has_sockets(application: object) -> bool:
    """Return whether an application serves WebSockets.

    Applications that list their routes are believed. Of others, the code that takes their requests is looked at:
    what serves sockets names the scope's type, or accepts.

    Args:
        application: The application, or a route of one that holds others.

    Example:
        >>> has_sockets(Starlette(routes=[Mount("/ws", routes=[WebSocketRoute("/echo", echo)])]))
        True
    """
    return _has_sockets(application, set())


def resolve(annotation: object, namespace: Mapping[str, Any], function: FunctionType) -> object:
    """Evaluate an annotation; names that only type checkers import are imported. `None` if that fails."""
    text = annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else annotation
    if not isinstance(text, str):
        return text
    names = dict(namespace)
    while True:
        try:
            return eval(text, names)
        except NameError as error:
            if not error.name or error.name in names or not _import_for_types(error.name, names, function):
                return None
        except Exception:  # an annotation may be any expression
            return None


def _find_classes(annotation: object, namespace: Mapping[str, Any], function: FunctionType) -> Iterator[type]:
    value = resolve(annotation, namespace, function)
    origin = get_origin(value) or value
    inner: tuple[object, ...] = ()
    if hasattr(origin, "__value__"):
        inner = (origin.__value__,)
    elif hasattr(value, "__supertype__"):
        inner = (value.__supertype__,)
    elif origin is Annotated:
        inner = get_args(value)[:1]
    elif origin is Union or origin is UnionType:
        inner = get_args(value)
    elif origin is Awaitable or origin is Coroutine:
        inner = get_args(value)[-1:]
    for item in inner:
        yield from _find_classes(item, namespace, function)
    # `Any` is a class from Python 3.11 on.
    if not inner and isinstance(origin, type) and origin is not Any:
        yield origin


def _names_stream(function: Callable[..., Any]) -> bool:
    """Return whether an annotation that cannot be evaluated has the name of a stream in it."""
    inner = find_function(function)
    written = None if inner is None else read_annotations(inner).get("return")
    if inner is None or not isinstance(written, str) or resolve(written, list_names(inner), inner) is not None:
        return False
    known = list_names(inner)
    return any(word in _STREAM_NAMES and word not in known for word in re.findall(r"\w+", written))


def _is_streamed(kind: type) -> bool:
    return kind is AsyncIterable or issubclass(kind, _STREAMS) or _keeps_pieces(kind)


def _keeps_pieces(kind: type) -> bool:
    made = (vars(base).get("__init__") for base in kind.__mro__)
    return any(isinstance(init, FunctionType) and _PIECES in init.__code__.co_names for init in made)


def _import_for_types(name: str, names: dict[str, Any], function: FunctionType) -> bool:
    """Import a name as a type checker does; return whether the function's module says how."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[function.__module__]))
    except (KeyError, OSError, SyntaxError, TypeError):
        return False
    for branch in [node for node in ast.walk(tree) if isinstance(node, ast.If)]:
        if "TYPE_CHECKING" not in ast.unparse(branch.test):
            continue
        for statement in branch.body:
            bound = getattr(statement, "names", ()) if isinstance(statement, ast.Import | ast.ImportFrom) else ()
            if any((alias.asname or alias.name.partition(".")[0]) == name for alias in bound):
                try:
                    exec(compile(ast.Module([statement], []), "<types>", "exec"), names)
                except Exception:  # whatever a module's top level raises
                    return False
                return name in names
    return False


def _has_sockets(application: object, seen: set[int]) -> bool:
    if id(application) in seen:
        return False
    seen.add(id(application))
    if hasattr(application, "endpoint"):
        # A route that leads to a function: its kind says all.
        return _is_socket_route(application)
    inner = _list_inner(application)
    if any(_has_sockets(item, seen) for item in inner):
        return True
    if _is_socket_route(application):
        return True
    if isinstance(getattr(application, "routes", None), list | tuple) or hasattr(application, _INCLUDED):
        return False
    if not callable(application) or hasattr(application, "url_map"):
        return False
    texts = _list_texts(application)
    if "websocket.accept" in texts:
        return True
    return _SOCKETS in texts and not _is_middleware(application)


def _list_inner(application: object) -> list[object]:
    """List what an application passes requests on to: its routes, and the applications that it holds."""
    found: list[object] = []
    routes = getattr(application, "routes", None)
    if isinstance(routes, list | tuple):
        found += routes
    mapping = getattr(application, "application_mapping", None)
    if isinstance(mapping, Mapping):
        found += mapping.values()
    rules = getattr(getattr(application, "url_map", None), "iter_rules", None)
    if rules is not None:
        found += rules()
    attributes = getattr(application, "__dict__", {})
    found += [attributes[name] for name in (*_INNER, _INCLUDED) if callable(attributes.get(name))]
    if isinstance(application, FunctionType):
        found += [cell for name, cell in list_names(application, closure_only=True).items() if name in _INNER]
    return found


def _is_socket_route(route: object) -> bool:
    routing = sys.modules.get("starlette.routing")
    if routing is not None and isinstance(route, routing.WebSocketRoute):
        return True
    if getattr(route, _SOCKETS, None) is True:
        return True
    scope = getattr(route, "scope_type", None)
    return getattr(scope, "value", scope) == _SOCKETS


def _is_middleware(application: object) -> bool:
    """Return whether an object wraps another application, as ASGI middleware does: `Middleware(app, …)`."""
    try:
        parameters = [*inspect.signature(type(application)).parameters]
    except (TypeError, ValueError):
        return False
    return parameters[:1] == ["app"] and hasattr(application, "app")


def _list_texts(application: object) -> frozenset[str]:
    """List the texts in the code of an application: that of a function, or of its class."""
    found: set[str] = set()
    codes: list[CodeType] = []
    function = find_function(application) if callable(application) else None
    if function is not None:
        codes.append(function.__code__)
    if not isinstance(application, FunctionType):
        members = [member for base in type(application).__mro__ for member in vars(base).values()]
        codes += [member.__code__ for member in members if isinstance(member, FunctionType)]
    while codes:
        for constant in codes.pop().co_consts:
            if isinstance(constant, CodeType):
                codes.append(constant)
            found.update(_texts_in(constant))
    return frozenset(found)


def _texts_in(constant: object) -> set[str]:
    if isinstance(constant, str):
        return {constant}
    if isinstance(constant, tuple | frozenset):
        return {text for item in constant for text in _texts_in(item)}
    return set()
