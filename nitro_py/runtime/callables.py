"""Tests of functions and their results, as in `inspect`, which is loaded only where it is needed.

For the row `lambda-cold-http` of the benchmark: loading `inspect` took a tenth of a small function's start.
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
    """Return whether a call returns a coroutine: an `async def`, or a function that is marked or wrapped as one.

    Example:
        >>> is_coroutine_function(len)
        False
    """
    if _is_plain(function):
        return bool(function.__code__.co_flags & COROUTINE)
    import inspect

    return inspect.iscoroutinefunction(function)


def is_generator_function(function: Callable[..., Any]) -> bool:
    """Return whether a call returns a generator: a `def` with a `yield`."""
    if _is_plain(function):
        return bool(function.__code__.co_flags & GENERATOR)
    import inspect

    return inspect.isgeneratorfunction(function)


def is_async_generator_function(function: Callable[..., Any]) -> bool:
    """Return whether a call returns an asynchronous generator: an `async def` with a `yield`."""
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
        # The abstract class last: its test takes longer, and most values here are coroutines.
        isinstance(value, CoroutineType)
        or (isinstance(value, GeneratorType) and bool(value.gi_code.co_flags & ITERABLE_COROUTINE))
        or isinstance(value, Awaitable)
    )


def takes(function: Callable[..., Any], count: int) -> bool:
    """Return whether a function can be called with that many positional arguments.

    Raises:
        ValueError: The function has no signature, as some functions written in C.

    Example:
        >>> takes(print, 2)
        True
    """
    import inspect  # Needed for the first close hook only.

    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    return True


def _is_plain(function: Callable[..., Any]) -> TypeGuard[FunctionType]:
    # Marks (`inspect.markcoroutinefunction`) are attributes; methods and partial objects are of other types.
    return type(function) is FunctionType and not function.__dict__
