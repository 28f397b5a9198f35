"""Lambda's Runtime API for one process of a function."""

from __future__ import annotations

import asyncio
import base64
import json
import socket

from nitro_presets.aws_lambda.gateway.http_server import (
    BodyTooLargeError,
    GatewayRequest,
    HttpConnection,
    Listener,
)
from nitro_presets.aws_lambda.gateway.invocation import (
    BufferedResult,
    InvocationError,
    PendingInvocation,
    StreamedResult,
)
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from nitro_py.server.ports import bind_port

ROOT = "/2018-06-01/runtime/"
ERROR_TYPE = "lambda-runtime-function-error-type"
ERROR_BODY = "lambda-runtime-function-error-body"


class RuntimeApi:
    """The Runtime API of one process.

    Args:
        arn: The function's ARN.
        limits: The quotas.
    """

    def __init__(self, arn: str, limits: Quotas) -> None:
        self.failed_start: asyncio.Future[InvocationError] = asyncio.get_running_loop().create_future()
        self.waiting = asyncio.Event()
        self._arn = arn
        self._limits = limits
        self._inbox: asyncio.Queue[PendingInvocation] = asyncio.Queue(1)
        self._current: PendingInvocation | None = None
        self._listener = Listener(self._handle)
        self._socket: socket.socket | None = None

    @property
    def address(self) -> str:
        """The value of `AWS_LAMBDA_RUNTIME_API`."""
        assert self._socket is not None
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    async def open(self) -> None:
        """Listen on a port of its own."""
        self._socket = bind_port("127.0.0.1", 0)
        await self._listener.open(self._socket)

    async def close(self) -> None:
        """End all connections."""
        await self._listener.close()

    def give(self, invocation: PendingInvocation) -> None:
        """Give the process its next invocation, which it waits for."""
        self.waiting.clear()
        self._inbox.put_nowait(invocation)

    async def _handle(self, http: HttpConnection, request: GatewayRequest) -> None:
        method, path = request.method, request.path
        if not path.startswith(ROOT):
            await _refuse(http, 404, "NotFound", f"There is no {path}.")
            return
        match [method, *path.removeprefix(ROOT).split("/")]:
            case ["GET", "invocation", "next"]:
                await self._next(http)
            case ["POST", "invocation", id, "response"]:
                if await self._expects(http, id):
                    await self._take_answer(http, request)
            case ["POST", "invocation", id, "error"]:
                if await self._expects(http, id):
                    await self._take_error(http, request)
            case ["POST", "init", "error"]:
                await self._take_failed_start(http, request)
            case _:
                await _refuse(http, 404, "NotFound", f"There is no {method} {path}.")

    async def _next(self, http: HttpConnection) -> None:
        if self._current is not None:
            # A runtime that asks for the next invocation will not answer the last one.
            self._current.resolve(InvocationError.make("Runtime.NoResponse", "The function sent no response."))
            self._current = None
        self.waiting.set()
        invocation = self._current = await self._inbox.get()
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._arn,
            "Lambda-Runtime-Trace-Id": invocation.trace,
        }
        await http.respond(200, headers.items(), invocation.payload)

    async def _expects(self, http: HttpConnection, id: str) -> bool:
        if self._current is None or self._current.id != id:
            await _refuse(http, 400, "InvalidRequestID", f"There is no invocation {id}.")
            return False
        if self._current.outcome.done():
            await _refuse(http, 403, "InvalidStateTransition", "The invocation has been answered.")
            return False
        return True

    async def _take_answer(self, http: HttpConnection, request: GatewayRequest) -> None:
        assert self._current is not None
        if (request.get("lambda-runtime-function-response-mode") or "").lower() == "streaming":
            await self._take_stream(self._current, http, request)
            return
        try:
            body = await http.read_body(self._limits.payload)
        except BodyTooLargeError:
            message = (
                f"Response payload size exceeded maximum allowed payload size ({self._limits.payload} bytes)."
            )
            self._current.resolve(InvocationError.make("Function.ResponseSizeTooLarge", message))
            await _refuse(http, 413, "RequestEntityTooLarge", message)
            return
        self._current.resolve(BufferedResult(body))
        await _accept(http)

    async def _take_stream(
        self, invocation: PendingInvocation, http: HttpConnection, request: GatewayRequest
    ) -> None:
        stream = StreamedResult(request.get("content-type") or "application/octet-stream")
        invocation.resolve(stream)
        failure: InvocationError | None = InvocationError.make(
            "Runtime.TruncatedResponse", "The response was not complete."
        )
        try:
            async for chunk in http.chunks():
                await stream.feed(chunk)
            failure = _read_trailers(http.trailers)
        finally:
            await stream.end(failure)
        await _accept(http)

    async def _take_error(self, http: HttpConnection, request: GatewayRequest) -> None:
        assert self._current is not None
        invocation = self._current
        invocation.resolve(await self._read_failure(http, request))
        await _accept(http)

    async def _take_failed_start(self, http: HttpConnection, request: GatewayRequest) -> None:
        failure = await self._read_failure(http, request)
        if self.waiting.is_set() or self._current is not None:
            await _refuse(http, 403, "InvalidStateTransition", "The function has started.")
            return
        if not self.failed_start.done():
            self.failed_start.set_result(failure)
        await _accept(http)

    async def _read_failure(self, http: HttpConnection, request: GatewayRequest) -> InvocationError:
        body = await http.read_body(self._limits.payload)
        return _describe(request.get(ERROR_TYPE) or "Unhandled", body)


def _describe(kind: str, body: bytes) -> InvocationError:
    try:
        message = str(json.loads(body).get("errorMessage", ""))
    except (ValueError, AttributeError):
        message = body[:200].decode(errors="replace")
    return InvocationError(kind, message, body)


def _read_trailers(trailers: dict[str, str]) -> InvocationError | None:
    kind = trailers.get(ERROR_TYPE)
    if kind is None:
        return None
    try:
        return _describe(kind, base64.b64decode(trailers.get(ERROR_BODY, ""), validate=True))
    except ValueError:
        return InvocationError.make(kind, "The trailer with the error is no base64.")


async def _accept(http: HttpConnection) -> None:
    await http.respond_json(202, {"status": "OK"})


async def _refuse(http: HttpConnection, status: int, kind: str, message: str) -> None:
    await http.respond_json(status, {"errorType": kind, "errorMessage": message})
