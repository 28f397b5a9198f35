"""The endpoint of `nitropy publish` in a preview: the WebSocket function publishes, as in a deployed stack."""

from __future__ import annotations

import hmac
import json
from typing import Any

from nitro_presets.aws_lambda.gateway.formats import start_trace
from nitro_presets.aws_lambda.gateway.http_server import BodyTooLargeError, GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.invocation import InvocationError, collect
from nitro_presets.aws_lambda.gateway.pool import FunctionPool
from nitro_presets.aws_lambda.gateway.quotas import MIB

MAX_BODY = MIB


class PublishEndpoint:
    """An endpoint that publishes for callers with the token.

    Args:
        pool: The WebSocket function.
        token: The bearer token.
    """

    def __init__(self, pool: FunctionPool, token: str) -> None:
        self._pool = pool
        self._token = token

    async def handle(self, http: HttpConnection, request: GatewayRequest) -> None:
        """Answer a request."""
        if request.method != "POST":
            await http.respond_json(405, {"message": "Only POST publishes."}, [("allow", "POST")])
            return
        given = (request.get("authorization") or "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            await http.respond_json(403, {"message": "Publishing needs the token of the running preview."})
            return
        try:
            message: Any = json.loads(await http.read_body(MAX_BODY))
            work = {"kind": "publish", **{name: message[name] for name in ("topic", "data", "namespace")}}
        except (BodyTooLargeError, ValueError, KeyError, TypeError):
            await http.respond_json(400, {"message": 'Expected {"topic": …, "data": …, "namespace": …}.'})
            return
        outcome = await collect(await self._pool.invoke(json.dumps({"nitro": work}).encode(), start_trace()))
        if isinstance(outcome, InvocationError):
            await http.respond_json(502, {"message": outcome.message})
        else:
            await http.respond(202)
