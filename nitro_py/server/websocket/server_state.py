"""What the connections of one server share."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.server import ServerState

from nitro_py.mount import ASGIApplication
from nitro_py.server.websocket.keepalive import KeepaliveWheel, Watched


class SharedState:
    """What a server's connections have in common, once for all of them.

    Args:
        config: uvicorn's configuration.
        state: uvicorn's record of its connections and tasks.
        app_state: What the application's lifespan has set.
    """

    def __init__(self, config: Config, state: ServerState, app_state: dict[str, Any]) -> None:
        if not config.loaded:
            config.load()
        self.app: ASGIApplication = config.loaded_app
        self.app_state = app_state
        self.state = state
        # uvicorn's set knows the protocols that it brings; all that it asks of them is `shutdown`.
        self.connections: set[Any] = state.connections
        self.root_path = config.root_path
        self.asgi_version = config.asgi_version
        self.max_message = config.ws_max_size
        self.compression = config.ws_per_message_deflate
        self._limit = config.limit_concurrency
        interval = config.ws_ping_interval
        self._wheel = KeepaliveWheel(asyncio.get_running_loop(), interval) if interval else None

    @property
    def full(self) -> bool:
        """Whether there are more connections than the server may have."""
        return self._limit is not None and len(self.connections) > self._limit

    def check_alive(self, connection: Watched) -> int:
        """Begin to ping a connection when it is idle, and return its place among those that are pinged."""
        return self._wheel.add(connection) if self._wheel is not None else 0

    def forget(self, connection: Watched, slot: int) -> None:
        """Forget a connection that is gone."""
        self.connections.discard(connection)
        if self._wheel is not None:
            self._wheel.remove(connection, slot)


_shared: WeakKeyDictionary[ServerState, SharedState] = WeakKeyDictionary()


def share_state(config: Config, state: ServerState, app_state: dict[str, Any]) -> SharedState:
    """Return what a server's connections share, made with the first of them."""
    shared = _shared.get(state)
    if shared is None:
        shared = _shared[state] = SharedState(config, state, app_state)
    return shared
