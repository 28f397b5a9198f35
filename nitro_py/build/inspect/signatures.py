"""Checking at build time that what a file defines can be called as it will be."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Set
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import nitro_py
from nitro_py.build.bundle.names import CLOSE
from nitro_py.build.inspect.kinds import find_annotated, find_returned, is_generator
from nitro_py.errors import HTTPError, NitroError
from nitro_py.event import Event
from nitro_py.handler import Handler
from nitro_py.middleware import Middleware
from nitro_py.mount import MountedApp
from nitro_py.peer import Peer
from nitro_py.plugins import Plugin
from nitro_py.response import Response
from nitro_py.runtime.annotations import find_function
from nitro_py.runtime.callables import takes
from nitro_py.runtime.hooks.message_model import UnresolvedAnnotationError, add_model
from nitro_py.websocket import Upgrade, WebSocketHandler

# What a middleware is called with.
_MIDDLEWARE = ("event", "next")
# What other frameworks call a hook.
_OTHER_NAMES = {
    "accept": "upgrade",
    "connect": "open",
    "connected": "open",
    "data": "message",
    "disconnect": "close",
    "disconnected": "close",
    "receive": "message",
}
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
        _check_runs(root, file, name, function)
        if _takes(function, len(arguments)) or (name == "close" and _takes(function, 1)):
            _check_parameters(root, file, name, function, arguments)
            continue
        place, line = _find_function(root, file, function)
        called = f"{name}({', '.join(arguments)})"
        raise NitroError(
            f"`{name}` of `{file}` is called as `{called}`, and takes `{_write_parameters(function)}`.",
            file=place,
            line=line,
            hint=_hint_at(defined, called, _list_route_parameters(file) & {*_list_parameters(function)}),
        )
    if isinstance(defined, Middleware) and not _is_async(defined.function):
        place, line = _find_function(root, file, defined.function)
        raise NitroError(
            f"The middleware of `{file}` is not async.", file=place, line=line, hint="Write `async def`."
        )
    if isinstance(defined, Middleware):
        _check_next(root, file, defined.function)
    if isinstance(defined, WebSocketHandler):
        if defined.upgrade is not None:
            _check_upgrade(root, file, defined.upgrade)
        _check_model(root, file, defined)


def _calls_of(defined: Defined) -> Iterator[tuple[str, Callable[..., Any], tuple[str, ...]]]:
    match defined:
        case WebSocketHandler():
            for name in defined.hooks:
                yield name, getattr(defined, name), _HOOKS[name]
        case Handler():
            yield "handler", defined.function, ("event",)
        case Middleware():
            yield "middleware", defined.function, _MIDDLEWARE
        case Plugin():
            yield "plugin", defined.function, ()
        case MountedApp():
            pass


def _check_runs(root: Path, file: str, name: str, function: Callable[..., Any]) -> None:
    """Refuse a `yield` where the function is only called: nothing would ever run of it."""
    if name in ("handler", "http", "plugin") or not is_generator(function):
        return
    place, line = _find_function(root, file, function)
    if name == "middleware":
        hint = "Return `await next()`, or another answer."
    else:
        hint = "Send by `await peer.send(…)`." if name != "upgrade" else "Return what it decides."
    raise NitroError(
        f"`{name}` of `{file}` has a `yield`, and so nothing of it would ever run.",
        file=place,
        line=line,
        hint=hint,
    )


def _check_upgrade(root: Path, file: str, hook: Callable[..., Any]) -> None:
    """Refuse an annotation that promises what is no answer to an upgrade."""
    promised = [kind for kind in find_returned(hook) if not _answers_upgrade(kind)]
    if promised:
        place, line = _find_function(root, file, hook)
        raise NitroError(
            f"`upgrade` of `{file}` returns `{promised[0].__name__}`: expected a response, `Upgrade` or `None`.",
            file=place,
            line=line,
            hint="Return a response or raise `HTTPError` to refuse, and `Upgrade(context=…)` to hand on data.",
        )


def _answers_upgrade(kind: type) -> bool:
    # A response of Starlette's kind is called to send itself.
    return (
        kind is object
        or kind is type(None)
        or issubclass(kind, Upgrade | Response | HTTPError)
        or "__call__" in dir(kind)
    )


def _check_next(root: Path, file: str, function: Callable[..., Any]) -> None:
    """Refuse a call of `next` with arguments, as other frameworks have it: it would fail with each request."""
    place, first = _find_function(root, file, function)
    for node in ast.walk(ast.parse((root / place).read_bytes())):
        if not isinstance(node, ast.AsyncFunctionDef):
            continue
        parameters = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        if start != first or len(parameters) != len(_MIDDLEWARE):
            continue
        name = parameters[1]
        for call in ast.walk(node):
            named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name
            if named and isinstance(call, ast.Call) and (call.args or call.keywords):
                raise NitroError(
                    f"The middleware of `{file}` calls `{ast.unparse(call)}`, and `{name}` takes no arguments.",
                    file=place,
                    line=call.lineno,
                    hint=f"Write `await {name}()`: the event is passed on by itself.",
                )


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
    code = getattr(find_function(function), "__code__", None)
    path = Path(code.co_filename) if code is not None else root / file
    if code is None or not path.is_relative_to(root):
        return file, 1
    return path.relative_to(root).as_posix(), code.co_firstlineno


def _check_parameters(
    root: Path, file: str, name: str, function: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    """Refuse parameters that other frameworks fill in: they would get something else, or nothing."""
    inner = find_function(function)
    if inner is None or name in ("middleware", "plugin"):
        return
    parameters = [*inspect.signature(function).parameters.values()]
    place, line = _find_function(root, file, function)
    for parameter in parameters:
        if type(parameter.default).__module__.partition(".")[0] == "fastapi":
            raise NitroError(
                f"`{parameter.name}` of `{name}` in `{file}` has the default "
                f"`{_write_default(parameter.default)}`, which only FastAPI fills in.",
                file=place,
                line=_find_parameter(root, place, line, parameter.name),
                hint=_hint_at_default(parameter),
            )
    first = parameters[0] if parameters else None
    if first is None or first.kind in (first.VAR_POSITIONAL, first.VAR_KEYWORD):
        return
    expected = _ARGUMENT_TYPES.get(arguments[0])
    kinds = find_annotated(function, first.name)
    wrong = [kind for kind in kinds if expected is not None and not _may_be(expected, kind)]
    route = _list_route_parameters(file)
    if (kinds and len(wrong) == len(kinds)) or (not kinds and name in ("handler", "http") and first.name in route):
        shown = f"{first.name}: {wrong[0].__name__}" if wrong else first.name
        raise NitroError(
            f"`{name}` of `{file}` takes `{shown}`, and is called with {_ARTICLES[arguments[0]]}.",
            file=place,
            line=_find_parameter(root, place, line, first.name),
            hint=_hint_at_first(arguments[0], first.name, wrong[0] if wrong else None, route),
        )
    if name not in ("handler", "http"):
        return
    for parameter in parameters[1:]:
        if parameter.name in route or _reads_query(function, parameter):
            source = "params" if parameter.name in route else "query"
            raise NitroError(
                f"`{parameter.name}` of `{name}` in `{file}` is never given: only `event` is.",
                file=place,
                line=_find_parameter(root, place, line, parameter.name),
                hint=f'Read it from the event: `{parameter.name} = event.{source}.get("{parameter.name}")`.',
            )


_ARGUMENT_TYPES: dict[str, type] = {"event": Event, "peer": Peer}
_ARTICLES = {"event": "an `Event`", "peer": "a `Peer`"}


def _reads_query(function: Callable[..., Any], parameter: inspect.Parameter) -> bool:
    """Return whether a parameter looks like one of a query: a simple type, and a constant as its default."""
    kinds = find_annotated(function, parameter.name)
    simple = {bool, float, int, str, type(None)}
    return bool(kinds) and {*kinds} <= simple and type(parameter.default) in simple


def _may_be(expected: type, kind: type) -> bool:
    """Return whether an annotation may be meant for what is given; protocols are for type checkers to judge."""
    return getattr(kind, "_is_protocol", False) or issubclass(expected, kind) or issubclass(kind, expected)


def _hint_at_first(argument: str, name: str, kind: type | None, route: frozenset[str]) -> str:
    if argument == "peer":
        return "Take `peer: Peer`: it has `await peer.send(…)`, and each message is given to the hook `message`."
    if name in route:
        return f'Take `event: Event`, and read `event.params["{name}"]`.'
    if kind is not None and hasattr(kind, "model_validate"):
        read = f"{name} = await read_validated_body(event, {kind.__name__})"
        return f"Take `event: Event`, and read the body: `{read}`."
    if kind is not None and kind.__name__ == "Request":
        return "Take `event: Event`; `event.request` is Starlette's request."
    return "Take `event: Event`: it has `event.params`, `event.query`, `event.request` and `await event.body()`."


def _hint_at_default(parameter: inspect.Parameter) -> str:
    name = parameter.name
    provider = getattr(parameter.default, "dependency", None)
    if provider is not None:
        called = getattr(provider, "__name__", "provide")
        return (
            f"Call it in the function: `{name} = {called}()`; what lasts as long as the app belongs in a plugin."
        )
    reads = {
        "Body": "await event.request.json()",
        "Cookie": f'event.cookies.get("{name}")',
        "File": f'(await event.request.form())["{name}"]',
        "Form": f'(await event.request.form())["{name}"]',
        "Header": f'event.headers.get("{name.replace("_", "-")}")',
        "Path": f'event.params["{name}"]',
        "Query": f'event.query.get("{name}")',
    }
    read = reads.get(type(parameter.default).__name__)
    return f"Read it from the event: `{name} = {read}`." if read else "Read it from the event."


def _write_default(default: object) -> str:
    return f"{type(default).__name__}(…)"


def _list_parameters(function: Callable[..., Any]) -> list[str]:
    return [*inspect.signature(function).parameters]


def _list_route_parameters(file: str) -> frozenset[str]:
    """List the parameters in the path of a route file."""
    return frozenset(re.findall(r"\[(?:\.\.\.)?(\w+)\]", file))


def _hint_at(defined: Defined, called: str, of_path: Set[str]) -> str:
    if isinstance(defined, Handler):
        if of_path:
            name = min(of_path)
            return f'Take `event` alone, and read `event.params["{name}"]`.'
        return "Take `event` alone: it has `event.params`, `event.query` and `event.request`."
    if isinstance(defined, Plugin):
        return "Take nothing."
    return f"Write `async def {called}`."


def _check_model(root: Path, file: str, handler: WebSocketHandler) -> None:
    """Check that pydantic can make a validator of what messages are read as."""
    from nitro_py.validation import make_adapter

    place, line = (file, None) if handler.message is None else _find_function(root, file, handler.message)
    try:
        found = add_model(handler)
    except UnresolvedAnnotationError as error:
        line = _find_parameter(root, place, line, error.parameter)
        raise NitroError(error.message, file=place, line=line, hint=error.hint) from None
    if found.message_model is None:
        return
    try:
        make_adapter(found.message_model).rebuild(raise_errors=True)
    except Exception as error:  # pydantic's own errors, and those of types that it looks into
        named = handler.message_model is not None
        what = "`message_model`" if named else "The annotation of the second parameter of `message`"
        raise NitroError(
            f"{what} of `{file}` is nothing that pydantic can validate: {_first_line(error)}",
            file=file if named else place,
            line=None if named else line,
            hint="Give a pydantic model, a dataclass, a `TypedDict`, or a union of them"
            + ("." if named else "; `Message`, `Any` or nothing means the message itself."),
        ) from None


def _find_parameter(root: Path, file: str, line: int | None, name: str) -> int | None:
    """Find the line of a function's parameter."""
    for node in ast.walk(ast.parse((root / file).read_bytes())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == line:
                named = [
                    argument
                    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                    if argument.arg == name
                ]
                return named[0].lineno if named else line
    return line


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def describe_call(name: str, unknown: str | None = None, given: str | None = None) -> str:
    """Describe what a function that defines something takes, after a wrong call.

    Args:
        name: The function.
        unknown: The argument that it does not take, if that is what is wrong.
        given: The name that it was given without one of its argument, if that is what is wrong.

    Example:
        >>> describe_call("define_middleware")
        'Decorate a function: `@define_middleware`.'
    """
    names = [
        parameter.name
        for parameter in inspect.signature(getattr(nitro_py, name)).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    options = [f"`{option}`" for option in names]
    meant = _find_meant(unknown, names) if unknown is not None else None
    did_you_mean = f"Did you mean `{meant}`? " if meant is not None else ""
    if name == "define_websocket_handler":
        hook = meant or (_find_meant(given, names) if given is not None else None) or "message"
        return f"{did_you_mean}Write `handler = {name}({hook}={given or hook})`; it takes {', '.join(options)}."
    also = f"; it takes {', '.join(options)}" if options else ""
    return f"{did_you_mean}Decorate a function: `@{name}`{also}."


def _find_meant(unknown: str, names: list[str]) -> str | None:
    """Find the argument that is meant: by what other frameworks call a hook, else by likeness."""
    bare = unknown.lower().removeprefix("on_").removeprefix("on").removesuffix("_hook").removesuffix("_handler")
    bare = _OTHER_NAMES.get(bare, bare)
    return bare if bare in names else next(iter(get_close_matches(bare, names, n=1, cutoff=CLOSE)), None)


def find_application(module: ModuleType) -> str | None:
    """Find the name of an ASGI application, which only lacks its being mounted."""
    for name, value in vars(module).items():
        call = inspect.getattr_static(type(value), "__call__", None)
        if inspect.iscoroutinefunction(call) and _takes(value, 3):
            return name
    return None
