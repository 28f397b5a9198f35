"""The WebSocket API: `$connect`, `$default` and `$disconnect`, each an event for the function."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import Any

from nitro_presets.aws_lambda.gateway.background_tasks import BackgroundTasks
from nitro_presets.aws_lambda.gateway.cloudfront import add_forwarded_headers
from nitro_presets.aws_lambda.gateway.connections import (
    LOST,
    ClientSocket,
    Disconnect,
    GatewayConnection,
    GatewayConnections,
    accept_key,
)
from nitro_presets.aws_lambda.gateway.fault_injection import Faults
from nitro_presets.aws_lambda.gateway.fifo_queue import FifoQueue, map_message
from nitro_presets.aws_lambda.gateway.formats import start_trace
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.invocation import InvocationError, collect
from nitro_presets.aws_lambda.gateway.pool import FunctionPool
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from nitro_presets.aws_lambda.gateway.websocket_events import LambdaEvent, WebSocketEvents

logger = logging.getLogger("nitro_py.aws.gateway")

# The longest URL, in characters.
MAX_URL = 4096


class WebSocketApi:
    """A WebSocket API.

    Args:
        api: The id, stage and domain of the API.
        connections: The connections.
        pool: The function.
        queue: The queue, if messages are ordered.
        faults: The faults to inject.
        limits: The quotas.
    """

    def __init__(
        self,
        api: WebSocketEvents,
        connections: GatewayConnections,
        pool: FunctionPool,
        queue: FifoQueue | None,
        faults: Faults,
        limits: Quotas,
    ) -> None:
        self._api = api
        self._connections = connections
        self._pool = pool
        self._queue = queue
        self._faults = faults
        self._limits = limits
        self._tasks = BackgroundTasks()

    async def serve(
        self, http: HttpConnection, request: GatewayRequest, headers: list[tuple[str, str]], query: str
    ) -> None:
        """Serve a client from its handshake to its end.

        Args:
            http: The connection.
            request: The handshake.
            headers: The header fields for the function.
            query: The query for the function.
        """
        if status := check_handshake(request, query):
            await http.respond(status, [("sec-websocket-version", "13")] if status == 426 else [])
            return
        connection = GatewayConnection(request.client, request.get("user-agent") or "")
        self._connections.add(connection)
        try:
            if self._faults.hits("early_disconnect"):
                await self._send_disconnect(connection, Disconnect.of(1006, LOST))
                await self._connect(connection, request, headers, query)
                http.abort()
                return
            answer = await self._connect(connection, request, headers, query)
            if isinstance(answer, int):
                await http.respond(answer)
                return
            try:
                socket = self._accept(connection, http, request, answer)
            except OSError:
                self._end(connection, Disconnect.of(1006, LOST))
                return
            await self._talk(connection, http, socket)
        finally:
            self._connections.remove(connection)

    @property
    def busy(self) -> bool:
        """Whether an event is on its way."""
        return self._tasks.busy

    async def idle(self) -> None:
        """Wait until no event is on its way."""
        await self._tasks.wait()

    async def close(self) -> None:
        """Cancel all events on their way."""
        await self._tasks.close()

    async def _connect(
        self, connection: GatewayConnection, request: GatewayRequest, headers: list[tuple[str, str]], query: str
    ) -> LambdaEvent | int:
        """Ask the function, and return its answer or the status of a refusal."""
        trace = start_trace()
        event = self._api.connect(connection, add_forwarded_headers(request, headers, trace), query)
        answer = await self._invoke(event, trace)
        if isinstance(answer, int):
            return answer
        status: int = answer["statusCode"]
        if 200 <= status < 300:
            return answer
        return status if 300 <= status <= 599 else 502

    def _accept(
        self, connection: GatewayConnection, http: HttpConnection, request: GatewayRequest, answer: LambdaEvent
    ) -> ClientSocket:
        key = request.get("sec-websocket-key") or ""
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(key))]
        protocol = find_protocol(answer, request)
        if protocol is not None:
            fields.append(("Sec-WebSocket-Protocol", protocol))
        data = http.switch(fields)
        socket = ClientSocket(http.reader, http.writer, data, self._limits)
        connection.socket = socket
        return socket

    async def _talk(self, connection: GatewayConnection, http: HttpConnection, socket: ClientSocket) -> None:
        life = asyncio.get_running_loop().call_later(self._limits.life, socket.close, 1001)
        idle = asyncio.ensure_future(self._watch(connection, socket))
        try:
            while (text := await socket.receive()) is not None:
                connection.touch()
                self._tasks.start(self._send_message(connection, socket, text))
        except asyncio.CancelledError:
            # The gateway stops, which AWS never does. Only the client is told.
            socket.close(1001)
            raise
        finally:
            life.cancel()
            idle.cancel()
            if http.observer is not None and socket.disconnect is not None:
                http.observer.on_disconnect(socket.disconnect.code, socket.disconnect.reason)
        if socket.disconnect is not None:
            self._end(connection, socket.disconnect)
        await socket.finish()

    async def _watch(self, connection: GatewayConnection, socket: ClientSocket) -> None:
        """Close the connection once it is idle for too long."""
        left = self._limits.idle
        while left > 0:
            await asyncio.sleep(left)
            left = connection.last_active_at / 1000 + self._limits.idle - time.time()
        socket.close(1001)

    def _end(self, connection: GatewayConnection, disconnect: Disconnect) -> None:
        if self._faults.hits("lost_disconnect"):
            return
        for _ in range(2 if self._faults.hits("double_disconnect") else 1):
            self._tasks.start(self._send_disconnect(connection, disconnect))

    async def _send_message(self, connection: GatewayConnection, socket: ClientSocket, text: str) -> None:
        event = self._api.message(connection, text)
        if self._queue is not None:
            context = event["requestContext"]
            self._queue.send(map_message(event), group=connection.id, dedup=context["messageId"])
            return
        if self._faults.shuffle:
            await asyncio.sleep(self._faults.draw("shuffle"))
        answer = await self._invoke(event, start_trace())
        # Without a route response the client gets no result of the function, but it gets its errors.
        if isinstance(answer, int) and not socket.closing:
            words = "Endpoint request timed out" if answer == 504 else "Internal server error"
            request_id = event["requestContext"]["requestId"]
            content = {"message": words, "connectionId": connection.id, "requestId": request_id}
            socket.send_text(json.dumps(content))

    async def _send_disconnect(self, connection: GatewayConnection, disconnect: Disconnect) -> None:
        await self._invoke(self._api.disconnect(connection, disconnect), start_trace())

    async def _invoke(self, event: LambdaEvent, trace: str) -> LambdaEvent | int:
        """Invoke the function, and return its response, or a status of 502 or 504."""
        try:
            async with asyncio.timeout(self._limits.integration):
                outcome = await collect(await self._pool.invoke(json.dumps(event).encode(), trace))
        except TimeoutError:
            return 504
        if isinstance(outcome, InvocationError):
            return 502
        with contextlib.suppress(ValueError):
            answer = json.loads(outcome.body)
            if isinstance(answer, dict) and isinstance(answer.get("statusCode"), int):
                return answer
        logger.error(
            "[websocket] The function's response to API Gateway has no `statusCode`: %r", outcome.body[:200]
        )
        return 502


def check_handshake(request: GatewayRequest, query: str) -> int | None:
    """Return the status for a handshake that is malformed; `None` if it is valid."""
    tokens = (request.get("connection") or "").lower().split(",")
    if (request.get("upgrade") or "").lower() != "websocket" or "upgrade" not in map(str.strip, tokens):
        return 426
    if request.get("sec-websocket-version") != "13":
        return 426
    if request.method != "GET" or not request.get("sec-websocket-key"):
        return 400
    return 414 if len(request.path) + len(query) > MAX_URL else None


def find_protocol(answer: dict[str, Any], request: GatewayRequest) -> str | None:
    """Return the subprotocol that the function accepts with status 200, if the client offers it."""
    headers = answer.get("headers") or {}
    named = [value for name, value in headers.items() if name.lower() == "sec-websocket-protocol"]
    fields = [value for name, value in request.headers if name.lower() == "sec-websocket-protocol"]
    offered = [item.strip() for field in fields for item in field.split(",")]
    if answer["statusCode"] != 200 or not named or named[-1] not in offered:
        return None
    return str(named[-1])
