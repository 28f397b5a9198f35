"""AWS's quotas."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
# Processes of each function, where `--concurrency` sets no other number.
CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Quotas:
    """AWS's quotas. Only tests change them.

    Args:
        frame: The largest frame that a client may send, in bytes.
        message: The largest message in either direction, in bytes.
        buffer: The unsent bytes of a client above which posts to it are refused.
        idle: How long a connection may be idle, in seconds.
        life: How long a connection may last, in seconds.
        integration: The integration time-out of a WebSocket API, in seconds.
        http_integration: The integration time-out of an HTTP API, in seconds.
        init: How long the init phase may take, in seconds; one that fails is tried again in the invocation.
        payload: The largest event and response of a synchronous invocation, in bytes.
        async_payload: The largest event of an asynchronous invocation, in bytes.
        event_age: How long an asynchronous invocation that is throttled is tried again, in seconds, as in the
            template.
        visibility: How long a message of the queue is hidden once it was received, in seconds; `None` for what the
            template says.
        receives: How often a message is received before it is a dead letter; `None` for what the template says.
        depth: The invocations in a recursive loop after which Lambda stops it.
    """

    frame: int = 32 * KIB
    message: int = 128 * KIB
    buffer: int = MIB
    idle: float = 600.0
    life: float = 7200.0
    integration: float = 29.0
    http_integration: float = 30.0
    init: float = 10.0
    payload: int = 6 * MIB
    async_payload: int = MIB
    event_age: float = 300.0
    visibility: float | None = None
    receives: int | None = None
    depth: int = 16


AWS_QUOTAS = Quotas()
