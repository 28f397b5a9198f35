"""The environment variables of the functions that only the stack sets, never the build."""

from __future__ import annotations

TABLE = "NITRO_TABLE"
CALLBACK_URL = "NITRO_CALLBACK_URL"
QUEUE_URL = "NITRO_QUEUE_URL"
WEBSOCKET_FUNCTION = "NITRO_WEBSOCKET_FUNCTION"
ORIGIN_SECRET = "NITRO_ORIGIN_SECRET"
# Where sockets connect, if that is a domain of their own.
SOCKET_URL = "NITRO_SOCKET_URL"

# Where the values of `aws.secrets` are, which the build writes.
SECRETS = "NITRO_SECRETS"

STACK_VARIABLES = frozenset({TABLE, CALLBACK_URL, QUEUE_URL, WEBSOCKET_FUNCTION, ORIGIN_SECRET, SOCKET_URL})
