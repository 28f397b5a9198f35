"""Write HTTP, WebSocket and event-stream handlers once; build them for where they run.

Each name is loaded when it is first asked for (PEP 562): a small function must not wait for what it does not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nitro_py.config import runtime_config
    from nitro_py.errors import (
        BackplaneError,
        BuildError,
        ConfigError,
        HTTPError,
        MessageTooLargeError,
        MessageValidationError,
        NitroError,
        PeerClosedError,
        UnsupportedError,
        UsageError,
    )
    from nitro_py.event import Event
    from nitro_py.handler import Handler, define_event_handler, define_handler
    from nitro_py.headers import Headers, Query
    from nitro_py.message import Message
    from nitro_py.middleware import Next, define_middleware
    from nitro_py.mount import mount_asgi
    from nitro_py.peer import Peer, ReadyState
    from nitro_py.plugins import define_plugin
    from nitro_py.request import Request
    from nitro_py.response import Response
    from nitro_py.sse import EventStream, EventStreamMessage, create_event_stream, event_stream_last_id
    from nitro_py.topics import get_peer, peers, publish
    from nitro_py.validation import get_validated_query, read_validated_body
    from nitro_py.websocket import CloseDetails, Upgrade, WebSocketHandler, define_websocket_handler

__version__ = "0.1.0"

__all__ = [
    "BackplaneError",
    "BuildError",
    "CloseDetails",
    "ConfigError",
    "Event",
    "EventStream",
    "EventStreamMessage",
    "HTTPError",
    "Handler",
    "Headers",
    "Message",
    "MessageTooLargeError",
    "MessageValidationError",
    "Next",
    "NitroError",
    "Peer",
    "PeerClosedError",
    "Query",
    "ReadyState",
    "Request",
    "Response",
    "UnsupportedError",
    "Upgrade",
    "UsageError",
    "WebSocketHandler",
    "create_event_stream",
    "define_event_handler",
    "define_handler",
    "define_middleware",
    "define_plugin",
    "define_websocket_handler",
    "event_stream_last_id",
    "get_peer",
    "get_validated_query",
    "mount_asgi",
    "peers",
    "publish",
    "read_validated_body",
    "runtime_config",
]

# The same names, by the module that each is loaded from.
_MODULES = {
    "errors": (
        "BackplaneError",
        "BuildError",
        "ConfigError",
        "HTTPError",
        "MessageTooLargeError",
        "MessageValidationError",
        "NitroError",
        "PeerClosedError",
        "UnsupportedError",
        "UsageError",
    ),
    "event": ("Event",),
    "handler": ("Handler", "define_event_handler", "define_handler"),
    "headers": ("Headers", "Query"),
    "message": ("Message",),
    "middleware": ("Next", "define_middleware"),
    "mount": ("mount_asgi",),
    "peer": ("Peer", "ReadyState"),
    "plugins": ("define_plugin",),
    "request": ("Request",),
    "response": ("Response",),
    "config": ("runtime_config",),
    "sse": ("EventStream", "EventStreamMessage", "create_event_stream", "event_stream_last_id"),
    "topics": ("get_peer", "peers", "publish"),
    "validation": ("get_validated_query", "read_validated_body"),
    "websocket": ("CloseDetails", "Upgrade", "WebSocketHandler", "define_websocket_handler"),
}

# Type checkers read the imports above, and would believe in any name if they saw this.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for module, names in _MODULES.items():
            if name in names:
                # Kept, so that it is found without this function from now on.
                value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
