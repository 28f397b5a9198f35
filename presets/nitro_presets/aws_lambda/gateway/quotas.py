"""What the platform allows."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
# Processes of each function, where `--concurrency` sets no other number.
CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Quotas:
    """AWS's quotas; only tests have reason to change one.

    Args:
        frame: Largest frame that a client may send, in bytes.
        message: Largest message in either direction, in bytes.
        buffer: Unsent bytes of a client past which posts to it are refused.
        idle: Seconds of silence after which a connection is closed.
        life: Seconds that a connection may live.
        integration: Seconds that API Gateway waits for a function.
        http_integration: The same, for an HTTP API.
        init: Seconds that a process may take to ask for its first invocation, besides the function's own time.
        payload: Largest event of a call that is waited for, and its answer, in bytes.
        async_payload: Largest event of a call that is not waited for, in bytes.
        hops: Calls in a row of one function that start each other before the next is stopped.
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
    hops: int = 16


AWS_QUOTAS = Quotas()
