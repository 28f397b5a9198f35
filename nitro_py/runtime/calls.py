"""How a route's handler is called, decided once for all of its requests."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from nitro_py.errors import HTTPError
from nitro_py.event import Event
from nitro_py.handler import Handler, HandlerFunction
from nitro_py.mount import MountedApp
from nitro_py.runtime.modules import AnyHandler
from nitro_py.websocket import WebSocketHandler

Call = Callable[[Event], Awaitable[Any]]


def make_call(handler: AnyHandler) -> Call | MountedApp:
    """Gives what answers a plain request to a route; a mounted application stays what it is.

    Args:
        handler: What the route's file defines; a WebSocket's hooks must have `http`.
    """
    if isinstance(handler, MountedApp):
        return handler
    if isinstance(handler, WebSocketHandler):
        assert handler.http is not None
        return _call(handler.http.function if isinstance(handler.http, Handler) else handler.http)
    return _call(handler.function)


async def refuse_plain(event: Event) -> Any:
    """Answers a plain request to a route that speaks WebSocket only."""
    raise HTTPError(
        426, "This path speaks WebSocket only.", headers={"upgrade": "websocket", "connection": "Upgrade"}
    )


def _call(function: HandlerFunction) -> Call:
    if inspect.iscoroutinefunction(function):
        return function
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):

        async def begin(event: Event) -> Any:
            return function(event)

        return begin

    async def call_in_thread(event: Event) -> Any:
        import asyncio

        # A plain function may block, and one that blocked the loop would hold up every socket.
        result = await asyncio.to_thread(function, event)
        return await result if inspect.isawaitable(result) else result

    return call_in_thread
