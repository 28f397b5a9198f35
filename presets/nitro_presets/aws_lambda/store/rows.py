"""The rows of the table, and the rules by which they are claimed."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from nitro_presets.aws_lambda.store.contract import Claim, ConnectionRow
from nitro_presets.aws_lambda.store.keys import CONNECTION_SORT, connection_partition, pick_index_partition

# How long a row stays for the sweep once its connection cannot be alive, in seconds.
SWEEP_GRACE = 86_400
# How long a tombstone stays in the place of a connection's row, in seconds: longer than `$connect` may take, with
# repeated calls.
TOMBSTONE_LIFE = 900
# How long after connecting the row may still be written, in seconds.
CONNECT_TIME = 60

CONTEXT = "context:"
TOPIC = "topic:"

# Why there is a tombstone: the peer left before the row was written, or its close hook has run.
LEFT = "left"
CLOSED = "closed"


def write_json(value: object) -> str:
    """Write a value as text, because DynamoDB's numbers would change some floats and long ints."""
    return json.dumps(value, separators=(",", ":"))


def due_time(moment: float) -> int:
    """Return a time for the index, rounded up to whole seconds."""
    return math.ceil(moment)


def write_connection(row: ConnectionRow, due: int) -> dict[str, Any]:
    """Write a connection as the values of an item.

    Args:
        row: The connection.
        due: When the sweep looks at it, in seconds since the epoch.
    """
    request = {
        "route": row.route,
        "url": row.url,
        "headers": row.headers,
        "params": dict(row.params),
        "remote_address": row.remote_address,
        "protocol": row.protocol,
    }
    values: dict[str, Any] = {
        "pk": connection_partition(row.id),
        "sk": CONNECTION_SORT,
        "slot": pick_index_partition(row.id),
        "due": due,
        "ttl": row.expires_at + SWEEP_GRACE,
        "handshake": write_json(request),
        "namespace": row.namespace,
        "connected_at": row.connected_at,
        "expires_at": row.expires_at,
        "shard_number": row.shard,
        "open_state": row.open_state,
        "close_state": row.close_state,
    }
    values.update({CONTEXT + key: write_json(value) for key, value in row.context.items()})
    values.update({TOPIC + topic: True for topic in row.topics})
    return values


def read_connection(values: Mapping[str, Any]) -> ConnectionRow | None:
    """Read a connection from the values of an item; return `None` for a tombstone."""
    if "close_state" not in values:
        return None
    request = json.loads(values["handshake"])
    return ConnectionRow(
        id=values["pk"].removeprefix(connection_partition("")),
        route=request["route"],
        url=request["url"],
        headers=tuple((name, value) for name, value in request["headers"]),
        params=request["params"],
        remote_address=request["remote_address"],
        protocol=request["protocol"],
        namespace=values["namespace"],
        context={
            name.removeprefix(CONTEXT): json.loads(value)
            for name, value in values.items()
            if name.startswith(CONTEXT)
        },
        topics=frozenset(name.removeprefix(TOPIC) for name in values if name.startswith(TOPIC)),
        connected_at=values["connected_at"],
        expires_at=values["expires_at"],
        shard=values["shard_number"],
        open_state=values["open_state"],
        open_lease=values.get("open_lease", 0.0),
        open_token=values.get("open_token", ""),
        close_state=values["close_state"],
        close_lease=values.get("close_lease", 0.0),
        close_token=values.get("close_token", ""),
    )


def write_tombstone(id: str, reason: str, now: float) -> dict[str, Any]:
    """Write a tombstone in the place of a connection as the values of an item."""
    return {
        "pk": connection_partition(id),
        "sk": CONNECTION_SORT,
        "mark": reason,
        "ttl": due_time(now + TOMBSTONE_LIFE),
    }


def make_token() -> str:
    """Return a random id for a claim."""
    return os.urandom(8).hex()


def resolve_open_claim(row: ConnectionRow | None, token: str) -> Claim:
    """Return the result of a failed claim on the open hook; a repeated call may find its own claim."""
    if row is not None and row.open_token == token:
        # Also if the end was claimed since: that claim has seen that the open hook was claimed.
        return Claim("claimed", row)
    if row is None or row.closing:
        return Claim("gone", None)
    return Claim("running" if row.open_state == "running" else "done", row)


def resolve_close_claim(row: ConnectionRow | None, token: str) -> Claim:
    """Return the result of a failed claim on the end; a repeated call may find its own claim."""
    if row is None:
        return Claim("gone", None)
    return Claim("claimed" if row.close_token == token else "running", row)
