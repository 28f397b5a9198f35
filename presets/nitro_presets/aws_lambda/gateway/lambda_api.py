"""Lambda's own API: Invoke."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from urllib.parse import unquote

from nitro_presets.aws_lambda.gateway.background_tasks import BackgroundTasks
from nitro_presets.aws_lambda.gateway.formats import TRACE_HEADER
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.invocation import InvocationError, collect
from nitro_presets.aws_lambda.gateway.pool import FunctionPool
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from nitro_presets.aws_lambda.gateway.signed_calls import (
    ApiError,
    SignatureVerifier,
    answer_bytes,
    answer_error,
    read_signed,
)

logger = logging.getLogger("nitro_py.aws.gateway")

SERVICE = "lambda"


class LambdaApi:
    """Calls functions for whoever asks.

    Args:
        pools: The functions by name.
        verifier: Checks signatures.
        limits: What the platform allows.
    """

    def __init__(self, pools: Mapping[str, FunctionPool], verifier: SignatureVerifier, limits: Quotas) -> None:
        self.dead_letters: list[bytes] = []
        self._pools = pools
        self._verifier = verifier
        self._limits = limits
        self._tasks = BackgroundTasks()

    async def handle(self, http: HttpConnection, request: GatewayRequest, segment: str) -> None:
        """Answer a call.

        Args:
            http: Where it came in.
            request: The call.
            segment: What stands in the path for the function: its name or ARN.
        """
        payload = await read_signed(http, request, self._verifier, SERVICE)
        if payload is None:
            return
        name = unquote(segment).rpartition(":")[2]
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
            denial = ApiError("InvalidRequestContentException", "Could not parse request body into json.")
            await answer_error(http, 400, denial)
        elif kind == "Event":
            self.start(name, payload or b"{}", request.get(TRACE_HEADER.lower()))
            await answer_bytes(http, 202)
        elif kind == "RequestResponse":
            await self._answer(http, pool, payload or b"{}", request.get(TRACE_HEADER.lower()))
        else:
            denial = ApiError("InvalidParameterValueException", f"There is no invocation type `{kind}`.")
            await answer_error(http, 400, denial)

    def start(self, name: str, payload: bytes, trace: str | None) -> None:
        """Call a function that nobody waits for; it is never tried again."""
        self._tasks.start(self.call(name, payload, trace))

    async def call(self, name: str, payload: bytes, trace: str | None) -> None:
        """Call a function that gives nobody an answer, and wait until it has ended."""
        outcome = await collect(await self._pools[name].invoke(payload, trace))
        if isinstance(outcome, InvocationError):
            logger.error("[%s] An asynchronous call was given up: %s", name, outcome.message)
            self.dead_letters.append(payload)

    @property
    def busy(self) -> bool:
        """Return whether something is under way."""
        return self._tasks.busy

    async def idle(self) -> None:
        """Wait until no asynchronous call runs or waits."""
        await self._tasks.wait()

    async def close(self) -> None:
        """Return up all asynchronous calls."""
        await self._tasks.close()

    async def _answer(self, http: HttpConnection, pool: FunctionPool, payload: bytes, trace: str | None) -> None:
        outcome = await collect(await pool.invoke(payload, trace))
        headers = [("content-type", "application/json"), ("X-Amz-Executed-Version", "$LATEST")]
        if isinstance(outcome, InvocationError):
            if outcome.kind == "RecursiveInvocationException":
                await answer_error(http, 400, ApiError(outcome.kind, outcome.message))
                return
            headers.append(("X-Amz-Function-Error", "Unhandled"))
        await answer_bytes(http, 200, outcome.body, *headers)


def _is_json(payload: bytes) -> bool:
    try:
        json.loads(payload or b"{}")
    except ValueError:
        return False
    return True
