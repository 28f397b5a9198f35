"""Reading what a function's annotations say, through whatever wraps the function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType
from typing import Any


def list_layers(function: Callable[..., Any]) -> Iterator[Any]:
    """List a callable and all that it wraps: the function of a method, of a partial object, of a decorated one."""
    layer: Any = function
    while layer is not None:
        yield layer
        if isinstance(layer, MethodType):
            layer = layer.__func__
        elif hasattr(layer, "__wrapped__"):
            layer = layer.__wrapped__
        elif _is_partial(layer):
            layer = layer.func
        elif isinstance(layer, FunctionType | type):
            layer = None
        else:
            call = getattr(type(layer), "__call__", None)  # noqa: B004
            layer = call if isinstance(call, FunctionType) else None


def find_function(function: Callable[..., Any]) -> FunctionType | None:
    """Return the innermost function of a callable: the one that was written; `None` for one written in C."""
    layers = [layer for layer in list_layers(function) if isinstance(layer, FunctionType)]
    return layers[-1] if layers else None


def read_annotations(function: FunctionType) -> dict[str, Any]:
    """Return a function's annotations as they were written: objects, or the text of what was not evaluated."""
    try:
        return function.__annotations__
    except NameError:
        # From Python 3.14 on they are evaluated when they are asked for.
        import annotationlib  # type: ignore[import-not-found, unused-ignore]

        found: dict[str, Any] = annotationlib.get_annotations(function, format=annotationlib.Format.STRING)
        return found


def list_names(function: FunctionType, *, closure_only: bool = False) -> dict[str, Any]:
    """Return the names that a function's annotations may use: those of its module and of the functions around it.

    Args:
        function: The function.
        closure_only: Whether to leave out the module's.
    """
    names = {} if closure_only else dict(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:
            # It gets its value later.
            continue
    return names


def _is_partial(value: object) -> bool:
    # A function that was made without it has no need to load it.
    functools = sys.modules.get("functools")
    return functools is not None and isinstance(value, functools.partial | functools.partialmethod)
