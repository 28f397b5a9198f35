"""The `@connections` API of one stage."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

from nitro_presets.aws_lambda.gateway.connections import GatewayConnections
from nitro_presets.aws_lambda.gateway.fault_injection import Faults
from nitro_presets.aws_lambda.gateway.formats import format_iso_time, is_connection_id
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.permissions import Need
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from nitro_presets.aws_lambda.gateway.signed_calls import (
    ApiError,
    CallGuard,
    answer_bytes,
    answer_error,
    answer_json,
    read_signed,
)

SERVICE = "execute-api"
_METHODS = frozenset({"DELETE", "GET", "POST"})


class ManagementApi:
    """The `@connections` API.

    Args:
        prefix: The start of the ARNs of its calls: that of the stage.
        connections: The connections.
        guard: The guard of calls.
        faults: The faults to inject.
        limits: The quotas.
    """

    def __init__(
        self, prefix: str, connections: GatewayConnections, guard: CallGuard, faults: Faults, limits: Quotas
    ) -> None:
        self._prefix = prefix
        self._connections = connections
        self._guard = guard
        self._faults = faults
        self._limits = limits

    async def handle(self, http: HttpConnection, request: GatewayRequest, segment: str) -> None:
        """Answer a call.

        Args:
            http: The connection.
            request: The call.
            segment: The connection id, from the path.
        """
        id = unquote(segment)
        need = Need("execute-api:ManageConnections", f"{self._prefix}/{request.method}/@connections/{id}")
        body = await read_signed(http, request, self._guard, SERVICE, lambda _: (need,))
        if body is None:
            return
        if self._faults.slow:
            await asyncio.sleep(self._faults.draw("slow"))
        # A caller that does not percent-encode the `=` of an id would fail on other characters too.
        if "=" in segment or not is_connection_id(id):
            await answer_error(http, 400, ApiError("BadRequestException", f"Invalid connectionId: {id}"))
        elif request.method not in _METHODS:
            await answer_error(http, 403, ApiError("ForbiddenException", "Forbidden"))
        elif self._faults.hits("throttle"):
            await answer_error(http, 429, ApiError("LimitExceededException", "Too Many Requests"))
        else:
            await self._answer(http, request.method, id, body)

    async def _answer(self, http: HttpConnection, method: str, id: str, body: bytes) -> None:
        found = self._connections.find_open(id)
        if found is None:
            await answer_error(http, 410, ApiError("GoneException", "Gone"))
            return
        connection, socket = found
        if method == "GET":
            identity = {"sourceIp": connection.source_ip, "userAgent": connection.user_agent}
            content = {
                "connectedAt": format_iso_time(connection.connected_at),
                "identity": identity,
                "lastActiveAt": format_iso_time(connection.last_active_at),
            }
            await answer_json(http, 200, content)
        elif method == "DELETE":
            socket.close(1000)
            await answer_bytes(http, 204)
        elif len(body) > self._limits.message:
            await answer_error(http, 413, ApiError("PayloadTooLargeException", "Message too long"))
        elif socket.unsent > self._limits.buffer:
            await answer_error(http, 429, ApiError("LimitExceededException", "The client's buffer is full."))
        else:
            # AWS does not document what becomes of other bytes; there are no binary messages.
            socket.send_text(body.decode(errors="replace"))
            connection.touch()
            await answer_bytes(http, 200)
