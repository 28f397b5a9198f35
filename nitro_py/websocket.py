"""Defining WebSocket routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nitro_py.message import Message
from nitro_py.peer import Peer
from nitro_py.request import Request
from nitro_py.runtime.callables import is_awaitable, takes

HOOK_NAMES = ("upgrade", "open", "message", "close", "error", "http")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Accepts an upgrade and says how.

    Args:
        headers: Header fields of the accepting answer.
        protocol: The subprotocol to accept; it must be among those offered.
        context: What `peer.context` starts with, JSON-able.
        namespace: Where the peer's topics live; by default the URL's path.

    Example:
        >>> Upgrade(protocol="chat.v2", context={"user": "ada"}).protocol
        'chat.v2'
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    protocol: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class CloseDetails:
    """Says how a connection ended.

    Args:
        code: The close code; 1005 when none was given, 1006 when the connection was lost.
        reason: The reason that came with it.
    """

    code: int = 1005
    reason: str = ""


UpgradeHook = Callable[[Request], Any]
PeerHook = Callable[[Peer], Awaitable[None] | None]
MessageHook = Callable[[Peer, Any], Awaitable[None] | None]
CloseHook = PeerHook | Callable[[Peer, CloseDetails], Awaitable[None] | None]
ErrorHook = Callable[[Peer, Exception], Awaitable[None] | None]


class WebSocketHandler(NamedTuple):
    """A WebSocket route's hooks; made by `define_websocket_handler`."""

    upgrade: UpgradeHook | None = None
    open: PeerHook | None = None
    message: MessageHook | None = None
    close: CloseHook | None = None
    error: ErrorHook | None = None
    http: Callable[[Any], Any] | None = None
    message_model: Any = None

    @property
    def hooks(self) -> tuple[str, ...]:
        """The names of the hooks that are there."""
        return tuple(name for name in HOOK_NAMES if getattr(self, name) is not None)

    async def call_open(self, peer: Peer) -> None:
        """Call the open hook."""
        if self.open is not None:
            await maybe_await(self.open(peer))

    async def call_close(self, peer: Peer, details: CloseDetails) -> None:
        """Call the close hook with as many arguments as it takes."""
        if self.close is not None:
            arguments = (peer, details) if takes(self.close, 2) else (peer,)
            await maybe_await(self.close(*arguments))

    def read(self, data: str | bytes, peer: Peer, id: str | None = None) -> Any:
        """Return what the message hook is called with: a `Message`, or the validated model.

        Raises:
            MessageValidationError: The message does not fit the route's model.
        """
        message = Message(data, peer, id)
        if self.message_model is None:
            return message
        from nitro_py.validation import validate_message

        return validate_message(self.message_model, message)


def define_websocket_handler(
    *,
    upgrade: UpgradeHook | None = None,
    open: PeerHook | None = None,
    message: MessageHook | None = None,
    close: CloseHook | None = None,
    error: ErrorHook | None = None,
    http: Callable[[Any], Any] | None = None,
    message_model: Any = None,
) -> WebSocketHandler:
    """Define what a WebSocket route does; every hook is optional, sync or async.

    Args:
        upgrade: `upgrade(request)`, before the socket exists: refuses with a response or `HTTPError`, or
            returns an `Upgrade`.
        open: `open(peer)`, once, before any message.
        message: `message(peer, message)`, one at a time for each peer, in order of arrival.
        close: `close(peer)` or `close(peer, details)`, once, last.
        error: `error(peer, exc)`, for an exception in another hook.
        http: An HTTP handler for plain requests to the path; without it they get 426.
        message_model: A pydantic model, or any type that pydantic can validate, in place of `Message`.

    Raises:
        TypeError: A hook is not callable.

    Example:
        async def message(peer: Peer, message: Message) -> None:
            await peer.send(message.text())

        handler = define_websocket_handler(message=message)
    """
    hooks = {
        "upgrade": upgrade,
        "open": open,
        "message": message,
        "close": close,
        "error": error,
        "http": http,
    }
    for name, hook in hooks.items():
        if hook is not None and not callable(hook):
            raise TypeError(f"`{name}` must be a function: expected a callable, got {type(hook).__name__}.")
    return WebSocketHandler(
        upgrade=upgrade,
        open=open,
        message=message,
        close=close,
        error=error,
        http=http,
        message_model=message_model,
    )


async def maybe_await(result: Any) -> Any:
    """Return a hook's result, awaiting it if the hook was async."""
    return await result if is_awaitable(result) else result
