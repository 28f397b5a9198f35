"""Defining HTTP and event-stream routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, overload

from nitro_py.event import Event
from nitro_py.runtime.callables import is_async_generator_function, is_awaitable, is_generator_function

HandlerFunction = Callable[[Event], Any]

# Names that, in a return annotation, declare a stream.
STREAM_TYPES = frozenset(
    {"AsyncGenerator", "AsyncIterable", "AsyncIterator", "EventStream", "Generator", "Iterator"}
)


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
        return Handler(function, streams or topics or declares_stream(function), topics)

    return decorate if function is None else decorate(function)


define_event_handler = define_handler


def declares_stream(function: Callable[..., Any]) -> bool:
    """Return whether a function is a generator, or its return annotation declares a stream."""
    if is_async_generator_function(function) or is_generator_function(function):
        return True
    # Read as text: evaluating it could need names that exist for type checkers only.
    annotation = getattr(function, "__annotations__", {}).get("return")
    if annotation is None:
        return False
    text = annotation if isinstance(annotation, str) else _name_of(annotation)
    words = text.replace("[", " ").replace("]", " ").replace("|", " ").replace(",", " ").split()
    return any(word.rpartition(".")[2] in STREAM_TYPES for word in words)


def _name_of(annotation: object) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
