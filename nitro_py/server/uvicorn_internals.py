"""What the server uses of uvicorn beyond its documented API.

Nothing else in `nitro_py` names these, but for the subclasses in `uvicorn_server`. Where a release lacks one of
them, `uvicorn_server.serve` uses the documented API alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

import uvicorn

if TYPE_CHECKING:
    from nitro_py.mount import ASGIApplication

try:
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
except ImportError:
    ProxyHeadersMiddleware = None  # type: ignore[assignment, misc]

# The header fields that the middleware looks for, in every request and at the client's address first.
PROXY_FIELDS: Final = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})

CONFIG_NAMES: Final = ("encoded_headers", "get_loop_factory", "load", "loaded", "loaded_app", "ws_protocol_class")
METHOD_NAMES: Final = ("capture_signals", "handle_exit", "on_tick", "shutdown", "startup")
SERVER_NAMES: Final = ("server_state", "should_exit", "started")
STATE_NAMES: Final = ("connections", "default_headers", "tasks", "total_requests")
# What a server has only once it runs.
RUNNING_NAMES: Final = ("lifespan", "servers")


class ServerState(Protocol):
    """uvicorn's record of a server's connections and tasks.

    Args:
        connections: The protocol of each open connection; `shutdown` is called on them at the stop.
        tasks: A task for each request that is being answered.
        default_headers: Header fields of every answer; a new list each second, for the date.
        total_requests: How many requests were answered.
    """

    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    default_headers: list[tuple[bytes, bytes]]
    total_requests: int


def find_missing(server: uvicorn.Server) -> list[str]:
    """Return the names that this release of uvicorn lacks, sorted.

    Args:
        server: A server that does not run yet; its configuration is loaded here.
    """
    config = server.config
    if hasattr(config, "load") and not getattr(config, "loaded", True):
        config.load()
    parts: list[tuple[str, object, tuple[str, ...]]] = [
        ("Config", config, CONFIG_NAMES),
        # Not those of the instance: a subclass has methods that the release may lack.
        ("Server", uvicorn.Server, METHOD_NAMES),
        ("Server", server, SERVER_NAMES),
        ("ServerState", getattr(server, "server_state", None), STATE_NAMES),
    ]
    missing = [f"{owner}.{name}" for owner, part, names in parts for name in names if not hasattr(part, name)]
    return sorted([*missing, *(["ProxyHeadersMiddleware"] if ProxyHeadersMiddleware is None else [])])


def load_apps(config: uvicorn.Config) -> tuple[ASGIApplication, ASGIApplication]:
    """Return the application for requests without a proxy's header fields, and for those with them.

    uvicorn wraps an application in `ProxyHeadersMiddleware`, unless its configuration says otherwise. A request
    that has no field for it goes past it (row `http`).
    """
    if not config.loaded:
        config.load()
    app: Any = config.loaded_app
    return (app.app if type(app) is ProxyHeadersMiddleware else app), app


def make_websocket(config: uvicorn.Config, state: ServerState, app_state: dict[str, Any]) -> asyncio.Protocol:
    """Return a protocol of the class that the configuration names for WebSockets.

    Args:
        config: uvicorn's configuration.
        state: uvicorn's record of its connections and tasks.
        app_state: What the application's lifespan has set.
    """
    factory: Any = config.ws_protocol_class
    protocol: asyncio.Protocol = factory(config=config, server_state=state, app_state=app_state)
    return protocol
