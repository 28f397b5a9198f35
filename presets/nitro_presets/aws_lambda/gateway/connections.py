"""The connections that there are, with what the management API tells of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from nitro_presets.aws_lambda.gateway.frames import ClientSocket
from nitro_presets.aws_lambda.gateway.identifiers import make_connection_id


@dataclass(slots=True, eq=False)
class Connection:
    """A connection to the WebSocket API.

    Args:
        source_ip: The client's address.
        user_agent: What the client calls itself.
    """

    source_ip: str
    user_agent: str
    id: str = field(default_factory=make_connection_id)
    connected_at: int = field(default_factory=lambda: now())
    last_active_at: int = field(default_factory=lambda: now())
    socket: ClientSocket | None = None

    def touch(self) -> None:
        """Note that something was said."""
        self.last_active_at = now()


class Connections:
    """Connections by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Connection] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, connection: Connection) -> None:
        """Add one that has just come."""
        self._by_id[connection.id] = connection

    def remove(self, connection: Connection) -> None:
        """Take one away that has ended."""
        self._by_id.pop(connection.id, None)

    def find_open(self, id: str) -> tuple[Connection, ClientSocket] | None:
        """Find a connection that messages can be sent to."""
        connection = self._by_id.get(id)
        # Until `$connect` has returned there is no socket.
        if connection is None or connection.socket is None or connection.socket.closing:
            return None
        return connection, connection.socket


def now() -> int:
    """Return the time in milliseconds since the epoch."""
    return int(time.time() * 1000)
