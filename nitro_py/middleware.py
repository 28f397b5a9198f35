"""Definition of middleware."""

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
    """Make a function a middleware, which runs around every route, WebSocket upgrades included.

    A returned value is the answer. `None` means the answer of `next()`, which is called if it was not yet.
    An answer before an upgrade refuses the upgrade.

    Args:
        function: `async def middleware(event, next)`; `await next()` runs the rest and returns its answer.

    Returns:
        The middleware.

    Raises:
        TypeError: The decorated object is not a function.

    Example:
        @define_middleware
        async def guard(event: Event, next: Next) -> object:
            if "x-key" not in event.headers:
                raise HTTPError(401, "No key.")
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

    async def next_(*given: object) -> Any:
        if given:
            raise TypeError("Call `next()` without arguments.")
        # A second call returns the first result: a handler runs once for a request.
        if not results:
            results.append(await _step(chain, index + 1, event, final))
        return results[0]

    answer = await chain[index].function(event, next_)
    return await next_() if answer is None else answer
