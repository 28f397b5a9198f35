"""Asking functions and their results what they are, as `inspect` does, and without it where that can be.

Loading `inspect` and what it needs in turn took a tenth of the start of a small function.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import CoroutineType, FunctionType, GeneratorType
from typing import Any, TypeGuard

# Bits of `co_flags`, as the documentation of `inspect` lists them ("Code Objects Bit Flags").
GENERATOR = 0x20
COROUTINE = 0x80
ITERABLE_COROUTINE = 0x100
ASYNC_GENERATOR = 0x200


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Return whether calling a function gives a coroutine: an `async def`, or what is marked or wrapped as one.

    Example:
        >>> is_coroutine_function(len)
        False
    """
    if _is_plain(function):
        return bool(function.__code__.co_flags & COROUTINE)
    import inspect

    return inspect.iscoroutinefunction(function)


def is_generator_function(function: Callable[..., Any]) -> bool:
    """Return whether calling a function gives a generator: a `def` with a `yield`."""
    if _is_plain(function):
        return bool(function.__code__.co_flags & GENERATOR)
    import inspect

    return inspect.isgeneratorfunction(function)


def is_async_generator_function(function: Callable[..., Any]) -> bool:
    """Return whether calling a function gives an asynchronous generator: an `async def` with a `yield`."""
    if _is_plain(function):
        return bool(function.__code__.co_flags & ASYNC_GENERATOR)
    import inspect

    return inspect.isasyncgenfunction(function)


def is_awaitable(value: object) -> TypeGuard[Awaitable[Any]]:
    """Return whether a value can be awaited.

    Example:
        >>> is_awaitable(None)
        False
    """
    return (
        # The abstract class last: it takes longer to ask, and most values that come here are coroutines.
        isinstance(value, CoroutineType)
        or (isinstance(value, GeneratorType) and bool(value.gi_code.co_flags & ITERABLE_COROUTINE))
        or isinstance(value, Awaitable)
    )


def takes(function: Callable[..., Any], count: int) -> bool:
    """Return whether a function can be called with that many positional arguments.

    Raises:
        ValueError: It does not tell, as some functions written in C.

    Example:
        >>> takes(print, 2)
        True
    """
    import inspect  # A function whose peers stay never asks, and need not load it.

    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    return True


def _is_plain(function: Callable[..., Any]) -> TypeGuard[FunctionType]:
    # Marks (`inspect.markcoroutinefunction`) are attributes; methods and partial objects are of other types.
    return type(function) is FunctionType and not function.__dict__
