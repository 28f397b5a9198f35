"""What the WebSocket connections of one server share."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from uvicorn import Config

from nitro_py.mount import ASGIApplication
from nitro_py.server.backlog import find_backlogs
from nitro_py.server.uvicorn_internals import ServerState, load_apps
from nitro_py.server.websocket.keepalive import CheckedConnection, KeepaliveWheel


class SharedState:
    """The settings and the keepalive of a server's WebSocket connections, once for all of them (row `idle`).

    Args:
        config: uvicorn's configuration.
        state: uvicorn's record of its connections and tasks.
        app_state: What the application's lifespan has set.
    """

    def __init__(self, config: Config, state: ServerState, app_state: dict[str, Any]) -> None:
        self.app: ASGIApplication = load_apps(config)[1]
        self.app_state = app_state
        self.state = state
        self.connections = state.connections
        self.root_path = config.root_path
        self.max_message = config.ws_max_size
        self.compression = config.ws_per_message_deflate
        self.backlogs = find_backlogs(asyncio.get_running_loop())
        self._limit = config.limit_concurrency
        interval = config.ws_ping_interval
        self._wheel = KeepaliveWheel(asyncio.get_running_loop(), interval) if interval else None

    @property
    def full(self) -> bool:
        """Whether there are more connections than the server may have."""
        return self._limit is not None and len(self.connections) > self._limit

    def watch(self, connection: CheckedConnection) -> int:
        """Check from now on that a connection's client is there, and return the connection's slot."""
        return self._wheel.add(connection) if self._wheel is not None else 0

    def forget(self, connection: CheckedConnection, slot: int) -> None:
        """Forget a connection that is gone."""
        self.connections.discard(connection)
        if self._wheel is not None:
            self._wheel.remove(connection, slot)


_shared: WeakKeyDictionary[ServerState, SharedState] = WeakKeyDictionary()


def share_state(config: Config, state: ServerState, app_state: dict[str, Any]) -> SharedState:
    """Return what a server's connections share, which is made with the first of them."""
    shared = _shared.get(state)
    if shared is None:
        shared = _shared[state] = SharedState(config, state, app_state)
    return shared
