"""What functions and results are, compared with what `inspect` says of them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import subprocess
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import pytest

from nitro_py.runtime import callables as functions
from nitro_py.runtime.callables import (
    is_async_generator_function,
    is_awaitable,
    is_coroutine_function,
    is_generator_function,
)


def plain() -> None: ...


def generator() -> Iterator[int]:
    yield 1


async def coroutine() -> None: ...


async def async_generator() -> AsyncIterator[int]:
    yield 1


@types.coroutine
def old_coroutine() -> Generator[None, None, None]:
    yield


@functools.wraps(coroutine)
def wrapper() -> Awaitable[None]:
    return coroutine()


class Methods:
    """Has a function of each kind as a method, and can be called itself."""

    def plain(self) -> None: ...

    async def coroutine(self) -> None: ...

    async def async_generator(self) -> AsyncIterator[int]:
        yield 1

    def generator(self) -> Iterator[int]:
        yield 1

    async def __call__(self) -> None: ...

    def __await__(self) -> Generator[Any, Any, None]:
        yield


FUNCTIONS: list[Callable[..., Any]] = [
    plain,
    generator,
    coroutine,
    async_generator,
    old_coroutine,
    wrapper,
    *(functools.partial(function) for function in (plain, generator, coroutine, async_generator)),
    Methods,
    Methods(),
    Methods().plain,
    Methods().generator,
    Methods().coroutine,
    Methods().async_generator,
    Methods.coroutine,
    lambda: None,
    len,
]
if sys.version_info >= (3, 12):
    FUNCTIONS.append(inspect.markcoroutinefunction(lambda: coroutine()))


def name(place: int) -> str:
    """Name a parameter without its address, which differs from process to process."""
    return f"{place} {re.sub(r' (object )?at 0x[0-9a-f]+', '', repr(FUNCTIONS[place]))}"


@pytest.mark.parametrize("function", FUNCTIONS, ids=map(name, range(len(FUNCTIONS))))
def test_functions_are_what_inspect_says(function: Callable[..., Any]) -> None:
    assert is_coroutine_function(function) == inspect.iscoroutinefunction(function)
    assert is_generator_function(function) == inspect.isgeneratorfunction(function)
    assert is_async_generator_function(function) == inspect.isasyncgenfunction(function)


def test_results_are_what_inspect_says() -> None:
    async def look() -> None:
        waiting = coroutine()
        future = asyncio.get_running_loop().create_future()
        values = [waiting, future, old_coroutine(), generator(), async_generator(), Methods(), None, "text", len]
        assert [is_awaitable(value) for value in values] == [inspect.isawaitable(value) for value in values]
        assert sum(is_awaitable(value) for value in values) == 4
        await waiting

    asyncio.run(look())


def test_bits_are_those_that_inspect_names() -> None:
    for name in ("GENERATOR", "COROUTINE", "ITERABLE_COROUTINE", "ASYNC_GENERATOR"):
        assert getattr(functions, name) == getattr(inspect, f"CO_{name}")


def test_plain_functions_need_no_inspect() -> None:
    code = """
import sys
from nitro_py.runtime.callables import is_coroutine_function
async def handler(event): ...
print(is_coroutine_function(handler), "inspect" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True False\n", "")
