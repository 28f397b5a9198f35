"""Definition of WebSocket routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nitro_py.message import Message
from nitro_py.peer import Peer
from nitro_py.request import Request
from nitro_py.runtime.callables import is_awaitable, takes
from nitro_py.runtime.topics.names import check_namespace

HOOK_NAMES = ("upgrade", "open", "message", "close", "error", "http")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An accepted upgrade; returned by an upgrade hook.

    Args:
        headers: Header fields of the answer.
        protocol: The subprotocol to accept; the client must have offered it (RFC 6455, section 1.9).
        context: The first content of `peer.context`; its values must have a JSON form.
        namespace: The namespace of the peer's topics; by default the URL's path.

    Raises:
        TypeError: The context is no mapping with text as keys, or the namespace is no text.

    Example:
        >>> Upgrade(protocol="chat.v2", context={"user": "ada"}).protocol
        'chat.v2'
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    protocol: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    namespace: str | None = None

    def __post_init__(self) -> None:
        check_namespace(self.namespace)
        _check_context(self.context)


def _check_context(context: object) -> None:
    if not isinstance(context, Mapping) or not all(isinstance(key, str) for key in context):
        raise TypeError(f"`Upgrade(context=…)` takes a mapping with text as keys, got `{context!r}`.")


@dataclass(frozen=True, slots=True)
class CloseDetails:
    """The end of a connection, for close hooks.

    Args:
        code: The close code (RFC 6455, section 7.4); 1005 if there was none, 1006 if the connection was lost.
        reason: The reason beside the code.

    Example:
        >>> CloseDetails(1001, "The server stops.").code
        1001
    """

    code: int = 1005
    reason: str = ""


UpgradeHook = Callable[[Request], Any]
PeerHook = Callable[[Peer], Awaitable[None] | None]
MessageHook = Callable[[Peer, Any], Awaitable[None] | None]
CloseHook = PeerHook | Callable[[Peer, CloseDetails], Awaitable[None] | None]
ErrorHook = Callable[[Peer, Exception], Awaitable[None] | None]


class WebSocketHandler(NamedTuple):
    """The hooks of a WebSocket route; made by `define_websocket_handler`."""

    upgrade: UpgradeHook | None = None
    open: PeerHook | None = None
    message: MessageHook | None = None
    close: CloseHook | None = None
    error: ErrorHook | None = None
    http: Callable[[Any], Any] | None = None
    message_model: Any = None

    @property
    def hooks(self) -> tuple[str, ...]:
        """The names of the hooks that are defined."""
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
        """Return the message hook's argument: a `Message`, or an object of the route's model.

        Raises:
            MessageValidationError: The message is not valid.
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
    """Define a WebSocket route by its hooks; each is optional, sync or async.

    Args:
        upgrade: `upgrade(request)`, called before the socket exists. It returns an `Upgrade` or `None` to accept,
            and returns a response or raises an `HTTPError` to refuse.
        open: `open(peer)`, called once, before any message.
        message: `message(peer, message)`, called for one message of a peer at a time, in order of arrival.
        close: `close(peer)` or `close(peer, details)`, called once, last.
        error: `error(peer, exc)`, called with an exception of another hook.
        http: An HTTP handler for plain requests to the path; without it they are answered with 426.
        message_model: A pydantic model, or any type that pydantic can validate, in place of `Message`.

    Returns:
        The route's handler.

    Raises:
        TypeError: A hook is not callable.

    Example:
        async def message(peer: Peer, message: Message) -> None:
            await peer.send(message.text())

        handler = define_websocket_handler(message=message)
    """
    handler = WebSocketHandler(
        upgrade=upgrade,
        open=open,
        message=message,
        close=close,
        error=error,
        http=http,
        message_model=message_model,
    )
    for name in handler.hooks:
        hook = getattr(handler, name)
        if not callable(hook):
            raise TypeError(f"`{name}` must be a function: expected a callable, got {type(hook).__name__}.")
    return handler


async def maybe_await(result: Any) -> Any:
    """Return a hook's result; await it first if the hook is async."""
    return await result if is_awaitable(result) else result
