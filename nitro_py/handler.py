"""Defining HTTP and event-stream routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, overload

from nitro_py.event import Event
from nitro_py.runtime.callables import is_awaitable

HandlerFunction = Callable[[Event], Any]


class Handler(NamedTuple):
    """An HTTP route's function and what it declares; made by `define_handler`."""

    function: HandlerFunction
    streams: bool = False
    topics: bool = False

    async def __call__(self, event: Event) -> Any:
        """Call the function, for tests of a handler."""
        result = self.function(event)
        return await result if is_awaitable(result) else result


@overload
def define_handler(function: HandlerFunction, /) -> Handler: ...
@overload
def define_handler(*, streams: bool = False, topics: bool = False) -> Callable[[HandlerFunction], Handler]: ...
def define_handler(
    function: HandlerFunction | None = None, /, *, streams: bool = False, topics: bool = False
) -> Handler | Callable[[HandlerFunction], Handler]:
    """Make a function an HTTP route.

    Args:
        function: `async def handler(event)`; the value that it returns is the answer. A plain `def` runs in a
            thread.
        streams: Whether the answer is a stream. A return annotation (`EventStream`, `AsyncIterator[str]`) declares
            it, too.
        topics: Whether the stream sends a topic's messages: `create_event_stream(event, subscribe=…)`.

    Returns:
        The handler, or a decorator if no function is given.

    Raises:
        TypeError: The decorated object is not a function.

    Example:
        @define_handler
        async def handler(event: Event) -> dict[str, str]:
            return {"message": "hello"}
    """

    def decorate(function: HandlerFunction) -> Handler:
        if not callable(function):
            raise TypeError(f"`define_handler` takes a function, got {type(function).__name__}.")
        return Handler(function, streams or topics, topics)

    return decorate if function is None else decorate(function)


define_event_handler = define_handler
