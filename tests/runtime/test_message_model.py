"""The model of a route's messages is what its message hook annotates them with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, Optional

import pytest
from pydantic import BaseModel

from nitro_py import Message, Peer, define_websocket_handler
from nitro_py.runtime.hooks.message_model import UnresolvedAnnotationError, add_model, find_model


class Move(BaseModel):
    """A message."""

    x: int


class Loud(Message):
    """A message of an app's own."""


class Hooks:
    """Hooks as methods and as an object."""

    async def method(self, peer: Peer, message: Move) -> None:
        """Take a message."""

    async def __call__(self, peer: Peer, message: Move) -> None:
        """Take a message."""


def written(annotation: object) -> Callable[..., Any]:
    """Return a hook with an annotation."""

    async def message(peer, message):  # type: ignore[no-untyped-def]
        """Take a message."""

    message.__annotations__ = {} if annotation is None else {"message": annotation}
    return message


async def prefixed(prefix: str, peer: Peer, message: Move) -> None:
    """Take a message, and something before it."""


def logged(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a hook."""

    @functools.wraps(hook)
    async def call(*args: Any) -> Any:
        return await hook(*args)

    return call


@pytest.mark.parametrize(
    "annotation",
    [None, "None", Any, "Any", Message, "Message", Loud, "Loud", Annotated[Message, "read"], "Message | None"],
    ids=repr,
)
def test_the_message_itself(annotation: object) -> None:
    assert find_model(written(annotation)) is None


@pytest.mark.parametrize(
    ("annotation", "model"),
    [
        (Move, Move),
        ("Move", Move),
        (list["Move"], list[Move]),
        ("list[Move]", list[Move]),
        (dict, dict),
        ("Optional[Move]", Optional[Move]),  # noqa: UP045
    ],
    ids=repr,
)
def test_a_model(annotation: object, model: object) -> None:
    assert find_model(written(annotation)) == model


@pytest.mark.parametrize(
    "hook",
    [Hooks().method, Hooks(), functools.partial(prefixed, "a"), logged(Hooks().method), logged(logged(Hooks()))],
    ids=["method", "object", "partial", "decorated", "decorated twice"],
)
def test_the_model_of_what_is_no_plain_function(hook: Callable[..., Any]) -> None:
    assert find_model(hook) is Move


def test_a_model_of_the_function_around() -> None:
    class Inner(BaseModel):
        y: int

    async def message(peer: Peer, message: Inner) -> Inner:
        return Inner(y=1)

    assert find_model(message) is Inner


def test_what_the_route_says_comes_first() -> None:
    handler = define_websocket_handler(message=written(Move), message_model=int)
    assert add_model(handler).message_model is int
    assert add_model(define_websocket_handler(message=written(Move))).message_model is Move
    assert add_model(define_websocket_handler()).message_model is None


@pytest.mark.parametrize("annotation", ["NotThere", "Move.not_there", "list[NotThere]", "1 +"])
def test_a_name_that_is_not_there(annotation: str) -> None:
    with pytest.raises(UnresolvedAnnotationError, match="of `message` cannot be evaluated"):
        find_model(written(annotation))
