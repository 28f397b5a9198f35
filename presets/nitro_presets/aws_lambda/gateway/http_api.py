"""The Function URL or HTTP API in front of the HTTP function."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from nitro_presets.aws_lambda.gateway.cloudfront import add_forwarded_headers
from nitro_presets.aws_lambda.gateway.formats import start_trace
from nitro_presets.aws_lambda.gateway.http_events import (
    HttpAnswer,
    make_http_event,
    read_http_answer,
    read_prelude,
)
from nitro_presets.aws_lambda.gateway.http_server import BodyTooLargeError, GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.invocation import (
    THROTTLED,
    BufferedResult,
    InvocationError,
    InvocationResult,
    StreamedResult,
    collect,
)
from nitro_presets.aws_lambda.gateway.pool import FunctionPool
from nitro_presets.aws_lambda.gateway.quotas import MIB, Quotas

# The content type of a stream that begins with a prelude.
INTEGRATION = "application/vnd.awslambda.http-integration-response"
SEPARATOR = bytes(8)
# Largest body of a request to an HTTP API, in bytes.
MAX_BODY = 10 * MIB


class HttpApi:
    """A Function URL or HTTP API.

    Args:
        pool: The function.
        domain: The host of the API or Function URL.
        limits: The quotas.
    """

    def __init__(self, pool: FunctionPool, domain: str, limits: Quotas) -> None:
        self._pool = pool
        self._function = pool.function
        self._domain = domain
        self._limits = limits

    @property
    def domain(self) -> str:
        """The host of the API or Function URL."""
        return self._domain

    async def serve(self, http: HttpConnection, request: GatewayRequest, headers: list[tuple[str, str]]) -> None:
        """Answer a request.

        Args:
            http: The connection.
            request: The request.
            headers: The header fields for the function.
        """
        trace = start_trace()
        try:
            body = await http.read_body(MAX_BODY)
        except BodyTooLargeError:
            await http.respond_json(413, {"message": "Request Entity Too Large"}, [("connection", "close")])
            return
        event = make_http_event(
            self._function.event, request, add_forwarded_headers(request, headers, trace), self._domain, body
        )
        payload = json.dumps(event).encode()
        if len(payload) > self._limits.payload:
            await http.respond_json(413, {"message": "Request Entity Too Large"})
            return
        outcome = await self._invoke(payload, trace)
        if outcome is None:
            await http.respond_json(503, {"message": "Service Unavailable"})
        elif isinstance(outcome, StreamedResult):
            await self._stream(http, request, outcome)
        else:
            await self._respond(http, request, outcome)

    async def _invoke(self, payload: bytes, trace: str) -> InvocationResult | None:
        seconds = self._limits.http_integration if self._function.event == "http-api" else None
        try:
            async with asyncio.timeout(seconds):
                outcome = await self._pool.invoke(payload, trace)
                return outcome if self._function.streaming else await collect(outcome)
        except TimeoutError:
            return None

    async def _respond(
        self, http: HttpConnection, request: GatewayRequest, outcome: BufferedResult | InvocationError
    ) -> None:
        if isinstance(outcome, InvocationError):
            await self._fail(http, throttled=outcome.kind == THROTTLED)
            return
        # With response streaming, a buffered response is passed on as it is.
        raw = HttpAnswer(200, [("content-type", "application/json")], outcome.body)
        answer = raw if self._function.streaming else read_http_answer(outcome.body)
        if answer is None:
            await self._fail(http)
        elif request.method == "HEAD" and answer.length is not None:
            await http.start(answer.status, [*answer.headers, ("content-length", answer.length)])
            await http.end()
        else:
            await http.respond(answer.status, answer.headers, answer.body)

    async def _fail(self, http: HttpConnection, *, throttled: bool = False) -> None:
        if throttled and self._function.event == "function-url":
            content = {"Reason": "ConcurrentInvocationLimitExceeded", "Message": "Rate Exceeded."}
            await http.respond_json(429, content)
        elif self._function.event == "http-api":
            await http.respond_json(500, {"message": "Internal Server Error"})
        else:
            await http.respond(502, [("content-type", "text/plain")], b"Internal Server Error")

    async def _stream(self, http: HttpConnection, request: GatewayRequest, stream: StreamedResult) -> None:
        """Pass a stream on as it comes. The function is not told when the client leaves."""
        chunks = stream.chunks()
        answer: HttpAnswer | None = HttpAnswer(200, [("content-type", stream.content_type)])
        rest = b""
        if stream.content_type == INTEGRATION:
            text, rest = await _split_prelude(chunks)
            answer = read_prelude(text)
        try:
            if answer is None:
                await self._fail(http)
                return
            length = answer.length if request.method == "HEAD" else None
            headers = [*answer.headers, ("content-length", length)] if length is not None else answer.headers
            await http.start(answer.status, headers)
            await http.write(rest)
            async for chunk in chunks:
                await http.write(chunk)
            if stream.failure is None:
                await http.end()
            else:
                # Without the last chunk, so that the client knows that the response is incomplete.
                http.abort()
        finally:
            stream.discard()


async def _split_prelude(chunks: AsyncIterator[bytes]) -> tuple[bytes, bytes]:
    text = b""
    async for chunk in chunks:
        text += chunk
        before, mark, rest = text.partition(SEPARATOR)
        if mark:
            return before, rest
    return b"", b""
