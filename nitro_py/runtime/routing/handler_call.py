"""The way to call a route's handler, chosen once for all of its requests."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from nitro_py.errors import HTTPError
from nitro_py.event import Event
from nitro_py.handler import Handler, HandlerFunction
from nitro_py.runtime.callables import (
    is_async_generator_function,
    is_coroutine_function,
    is_generator_function,
)

if TYPE_CHECKING:
    from nitro_py.runtime.routing.loader import AnyHandler
    from nitro_py.websocket import WebSocketHandler

logger = logging.getLogger("nitro_py.http")

# How a page of HTML begins.
MARKUP = ("<!doctype", "<html")

Call = Callable[[Event], Awaitable[Any]]


def make_call(handler: AnyHandler) -> Call:
    """Return the function that answers HTTP requests to a route that is not mounted.

    Args:
        handler: The route's handler; that of a WebSocket route must have the hook `http`.
    """
    if isinstance(handler, Handler):
        return _call(handler.function)
    http = cast("WebSocketHandler", handler).http
    assert http is not None
    return _call(http.function if isinstance(http, Handler) else http)


def warn_of_markup(call: Call, route: str) -> Call:
    """Return a call that warns once where a handler returns HTML as text; for development.

    Args:
        call: Answers a plain request.
        route: The route's path, for the log.
    """
    warned = False

    async def answer(event: Event) -> Any:
        nonlocal warned
        result = await call(event)
        if isinstance(result, str) and not warned and result[:100].lstrip().lower().startswith(MARKUP):
            warned = "content-type" not in event.response.headers
            if warned:
                logger.warning(
                    "%s returns HTML, and a `str` is sent as plain text: "
                    'set `event.response.headers["content-type"] = "text/html; charset=utf-8"`.',
                    route,
                )
        return result

    return answer


async def refuse_plain(event: Event) -> Any:
    """Refuse a plain request to a WebSocket route (RFC 9110, section 15.5.22)."""
    raise HTTPError(
        426, "This path serves WebSocket only.", headers={"upgrade": "websocket", "connection": "Upgrade"}
    )


def _call(function: HandlerFunction) -> Call:
    if is_coroutine_function(function):
        return function
    if is_async_generator_function(function) or is_generator_function(function):

        async def begin(event: Event) -> Any:
            return function(event)

        return begin

    async def call_in_thread(event: Event) -> Any:
        # A cold function whose handlers are all async needs no threads.
        from nitro_py.runtime import threads

        # A plain function may block, and one that blocked the loop would hold up every socket.
        return await threads.call_in_thread(function, event, name=name)

    name = f"The handler `{getattr(function, '__qualname__', type(function).__name__)}`"
    return call_in_thread
