"""Defining middleware."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from nitro_py.event import Event

Next = Callable[[], Awaitable[Any]]
MiddlewareFunction = Callable[[Event, Next], Awaitable[Any]]


class Middleware(NamedTuple):
    """A middleware function; made by `define_middleware`."""

    function: MiddlewareFunction


def define_middleware(function: MiddlewareFunction) -> Middleware:
    """Make a function run around every route, WebSocket upgrades included.

    A returned value is the answer; `None` means: go on, with what `next()` gave if it was called. Before an
    upgrade, an answer refuses it.

    Args:
        function: `async def middleware(event, next)`.

    Raises:
        TypeError: What is decorated is not a function.

    Example:
        @define_middleware
        async def guard(event: Event, next: Next) -> object:
            if "x-key" not in event.headers:
                return Response({"error": "no key"}, status=401)
            return await next()
    """
    if not callable(function):
        raise TypeError(f"`define_middleware` takes a function, got {type(function).__name__}.")
    return Middleware(function)


async def run_middleware(chain: tuple[Middleware, ...], event: Event, final: Callable[[], Awaitable[Any]]) -> Any:
    """Run a chain of middleware around the function that ends it."""
    return await _step(chain, 0, event, final)


async def _step(
    chain: tuple[Middleware, ...], index: int, event: Event, final: Callable[[], Awaitable[Any]]
) -> Any:
    if index == len(chain):
        return await final()
    results: list[Any] = []

    async def next_() -> Any:
        # A second call gives the first one's result: a handler never runs twice for one request.
        if not results:
            results.append(await _step(chain, index + 1, event, final))
        return results[0]

    answer = await chain[index].function(event, next_)
    return await next_() if answer is None else answer
