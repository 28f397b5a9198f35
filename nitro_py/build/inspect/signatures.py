"""Checking at build time that what a file defines can be called as it will be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import nitro_py
from nitro_py.errors import NitroError
from nitro_py.handler import Handler
from nitro_py.middleware import Middleware
from nitro_py.mount import MountedApp
from nitro_py.plugins import Plugin
from nitro_py.runtime.callables import takes
from nitro_py.websocket import WebSocketHandler

Defined = Handler | WebSocketHandler | MountedApp | Middleware | Plugin

# What each hook is called with; `close` also takes the peer alone.
_HOOKS = {
    "upgrade": ("request",),
    "open": ("peer",),
    "message": ("peer", "message"),
    "close": ("peer", "details"),
    "error": ("peer", "exc"),
    "http": ("event",),
}


def check_signatures(root: Path, file: str, defined: Defined) -> None:
    """Check the functions of a handler, a middleware or a plugin.

    Args:
        root: The project's folder.
        file: The file that defines it, relative to the project.
        defined: What the file defines.

    Raises:
        NitroError: A function takes other arguments than it will be called with, a middleware is not async, or
            pydantic cannot make a validator of `message_model`.
    """
    for name, function, arguments in _calls_of(defined):
        if _takes(function, len(arguments)) or (name == "close" and _takes(function, 1)):
            continue
        place, line = _find_function(root, file, function)
        called = f"{name}({', '.join(arguments)})"
        raise NitroError(
            f"`{name}` of `{file}` is called as `{called}`, and takes `{_write_parameters(function)}`.",
            file=place,
            line=line,
            hint=_hint_at(defined, called),
        )
    if isinstance(defined, Middleware) and not _is_async(defined.function):
        place, line = _find_function(root, file, defined.function)
        raise NitroError(
            f"The middleware of `{file}` is not async.", file=place, line=line, hint="Write `async def`."
        )
    if isinstance(defined, WebSocketHandler) and defined.message_model is not None:
        _check_model(file, defined.message_model)


def _calls_of(defined: Defined) -> Iterator[tuple[str, Callable[..., Any], tuple[str, ...]]]:
    match defined:
        case WebSocketHandler():
            for name in defined.hooks:
                yield name, getattr(defined, name), _HOOKS[name]
        case Handler():
            yield "handler", defined.function, ("event",)
        case Middleware():
            yield "middleware", defined.function, ("event", "next")
        case Plugin():
            yield "plugin", defined.function, ()
        case MountedApp():
            pass


def _takes(function: Callable[..., Any], count: int) -> bool:
    try:
        return takes(function, count)
    except ValueError:  # nothing to find fault with
        return True


def _is_async(function: Callable[..., Any]) -> bool:
    # An object with a `__call__`, or a function that gives back what can be awaited, may be meant so.
    return (
        not inspect.isfunction(function)
        or inspect.iscoroutinefunction(function)
        or hasattr(function, "__wrapped__")
    )


def _write_parameters(function: Callable[..., Any]) -> str:
    parameters = inspect.signature(function).parameters.values()
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    return str(inspect.Signature(bare))


def _find_function(root: Path, file: str, function: Callable[..., Any]) -> tuple[str, int]:
    code = getattr(inspect.unwrap(function), "__code__", None)
    path = Path(code.co_filename) if code is not None else root / file
    if code is None or not path.is_relative_to(root):
        return file, 1
    return path.relative_to(root).as_posix(), code.co_firstlineno


def _hint_at(defined: Defined, called: str) -> str:
    if isinstance(defined, Handler):
        return "Take `event` alone: it has `event.params`, `event.query` and `event.request`."
    if isinstance(defined, Plugin):
        return "Take nothing."
    return f"Write `async def {called}`."


def _check_model(file: str, model: Any) -> None:
    from nitro_py.validation import make_adapter

    try:
        make_adapter(model).rebuild(raise_errors=True)
    except Exception as error:  # pydantic's own errors, and those of types that it looks into
        raise NitroError(
            f"`message_model` of `{file}` is nothing that pydantic can validate: {_first_line(error)}",
            file=file,
            hint="Give a pydantic model, a dataclass, a `TypedDict`, or a union of them.",
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def describe_call(name: str) -> str:
    """Describe what a function that defines something takes, after a wrong call.

    Example:
        >>> describe_call("define_middleware")
        'Decorate a function: `@define_middleware`.'
    """
    options = [
        f"`{parameter.name}`"
        for parameter in inspect.signature(getattr(nitro_py, name)).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    if name == "define_websocket_handler":
        return f"Write `handler = {name}(message=message)`; it takes {', '.join(options)}."
    also = f"; it takes {', '.join(options)}" if options else ""
    return f"Decorate a function: `@{name}`{also}."


def find_application(module: ModuleType) -> str | None:
    """Find the name of an ASGI application, which only lacks its being mounted."""
    for name, value in vars(module).items():
        call = inspect.getattr_static(type(value), "__call__", None)
        if inspect.iscoroutinefunction(call) and _takes(value, 3):
            return name
    return None
