"""Lambda's Invoke API."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from urllib.parse import unquote

from nitro_presets.aws_lambda.gateway.background_tasks import BackgroundTasks
from nitro_presets.aws_lambda.gateway.formats import TRACE_HEADER
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.invocation import THROTTLED, InvocationError, collect
from nitro_presets.aws_lambda.gateway.permissions import Need
from nitro_presets.aws_lambda.gateway.pool import FunctionPool
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from nitro_presets.aws_lambda.gateway.signed_calls import (
    ApiError,
    CallGuard,
    answer_bytes,
    answer_error,
    read_signed,
)

logger = logging.getLogger("nitro_py.aws.gateway")

SERVICE = "lambda"
# The first pause after an asynchronous invocation was throttled, in seconds; it doubles each time.
FIRST_PAUSE = 1.0
# The statuses of synchronous calls whose function did not run, by error type.
_REFUSALS = {"RecursiveInvocationException": 400, THROTTLED: 429}


class LambdaApi:
    """The Invoke API.

    Args:
        prefix: The start of the ARNs of functions.
        pools: The functions by name.
        guard: The guard of calls.
        limits: The quotas.
    """

    def __init__(self, prefix: str, pools: Mapping[str, FunctionPool], guard: CallGuard, limits: Quotas) -> None:
        self.dead_letters: list[bytes] = []
        self._prefix = prefix
        self._pools = pools
        self._guard = guard
        self._limits = limits
        self._tasks = BackgroundTasks()

    async def handle(self, http: HttpConnection, request: GatewayRequest, segment: str) -> None:
        """Answer a call.

        Args:
            http: The connection.
            request: The call.
            segment: The function's name or ARN, from the path.
        """
        name = unquote(segment).rpartition(":")[2]
        need = Need("lambda:InvokeFunction", f"{self._prefix}{name}")
        payload = await read_signed(http, request, self._guard, SERVICE, lambda _: (need,))
        if payload is None:
            return
        pool = self._pools.get(name)
        kind = request.get("x-amz-invocation-type") or "RequestResponse"
        limit = self._limits.async_payload if kind == "Event" else self._limits.payload
        if pool is None:
            await answer_error(http, 404, ApiError("ResourceNotFoundException", f"Function not found: {name}"))
        elif len(payload) > limit:
            message = (
                f"{len(payload)} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
            )
            await answer_error(http, 413, ApiError("RequestTooLargeException", message))
        elif not _is_json(payload):
            error = ApiError("InvalidRequestContentException", "Could not parse request body into json.")
            await answer_error(http, 400, error)
        elif kind == "Event":
            self.start(name, payload or b"{}", request.get(TRACE_HEADER.lower()))
            await answer_bytes(http, 202)
        elif kind == "RequestResponse":
            await self._answer(http, pool, payload or b"{}", request.get(TRACE_HEADER.lower()))
        else:
            error = ApiError("InvalidParameterValueException", f"There is no invocation type `{kind}`.")
            await answer_error(http, 400, error)

    def start(self, name: str, payload: bytes, trace: str | None) -> None:
        """Invoke a function asynchronously; only an invocation that is throttled is tried again."""
        self._tasks.start(self.call(name, payload, trace))

    async def call(self, name: str, payload: bytes, trace: str | None) -> None:
        """Invoke a function asynchronously, and wait until it has ended."""
        until = time.monotonic() + self._limits.event_age
        pause = FIRST_PAUSE
        while True:
            outcome = await collect(await self._pools[name].invoke(payload, trace))
            throttled = isinstance(outcome, InvocationError) and outcome.kind == THROTTLED
            if not throttled or time.monotonic() + pause > until:
                break
            await asyncio.sleep(pause)
            pause *= 2
        if isinstance(outcome, InvocationError):
            logger.error("[%s] An asynchronous invocation failed: %s", name, outcome.message)
            self.dead_letters.append(payload)

    @property
    def busy(self) -> bool:
        """Whether an asynchronous invocation runs or waits."""
        return self._tasks.busy

    async def idle(self) -> None:
        """Wait until no asynchronous invocation runs or waits."""
        await self._tasks.wait()

    async def close(self) -> None:
        """Cancel all asynchronous invocations."""
        await self._tasks.close()

    async def _answer(self, http: HttpConnection, pool: FunctionPool, payload: bytes, trace: str | None) -> None:
        outcome = await collect(await pool.invoke(payload, trace))
        headers = [("content-type", "application/json"), ("X-Amz-Executed-Version", "$LATEST")]
        if isinstance(outcome, InvocationError):
            if (status := _REFUSALS.get(outcome.kind)) is not None:
                await answer_error(http, status, ApiError(outcome.kind, outcome.message))
                return
            headers.append(("X-Amz-Function-Error", "Unhandled"))
        await answer_bytes(http, 200, outcome.body, *headers)


def _is_json(payload: bytes) -> bool:
    try:
        json.loads(payload or b"{}")
    except ValueError:
        return False
    return True
