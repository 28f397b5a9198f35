"""The one port in front: local paths to the functions, and AWS's own services below `/_aws`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nitro_presets.aws_lambda.gateway.cloudfront import move_path, pass_headers
from nitro_presets.aws_lambda.gateway.fifo_queue import FifoQueue
from nitro_presets.aws_lambda.gateway.http_api import HttpApi
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.lambda_api import LambdaApi
from nitro_presets.aws_lambda.gateway.management_api import ManagementApi
from nitro_presets.aws_lambda.gateway.publish_endpoint import PublishEndpoint
from nitro_presets.aws_lambda.gateway.websocket_api import WebSocketApi
from nitro_presets.aws_lambda.gateway.websocket_events import WebSocketEvents

ROOT = "/_aws"
PUBLISH_PATH = "/_nitro/publish"
SQS_PATHS = (f"{ROOT}/sqs", f"{ROOT}/sqs/")
_INVOCATIONS = re.compile(rf"{ROOT}/2015-03-31/functions/([^/]+)/invocations")


@dataclass(frozen=True, slots=True)
class GatewayRouter:
    """Finds who answers a request.

    Args:
        api: What the WebSocket API is called.
        secret: What the distribution proves itself by.
        management: `@connections`.
        invoker: Lambda's Invoke.
        sockets: The WebSocket API, where there is one.
        http: The HTTP side, where there is one.
        queue: The queue, where messages are ordered.
        publisher: What publishes for the command line, if it may.
    """

    api: WebSocketEvents
    secret: str
    management: ManagementApi
    invoker: LambdaApi
    sockets: WebSocketApi | None
    http: HttpApi | None
    queue: FifoQueue | None
    publisher: PublishEndpoint | None

    async def handle(self, http: HttpConnection, request: GatewayRequest) -> None:
        """Answer a request, or serve a socket to its end."""
        if request.path.startswith(f"{ROOT}/"):
            await self._call_service(http, request)
        elif self.publisher is not None and request.path == PUBLISH_PATH:
            await self.publisher.handle(http, request)
        elif self.sockets is not None and request.get("sec-websocket-key") is not None:
            # As the CloudFront function tells handshakes, which does not see `Upgrade`.
            headers = pass_headers(request, self.api.domain, self.secret)
            await self.sockets.serve(http, request, headers, move_path(request))
        elif self.http is not None:
            await self.http.serve(http, request, pass_headers(request, self.http.domain, self.secret))
        else:
            await http.respond(404)

    async def _call_service(self, http: HttpConnection, request: GatewayRequest) -> None:
        stage = f"{ROOT}/{self.api.stage}"
        invocations = _INVOCATIONS.fullmatch(request.path)
        if invocations is not None and request.method == "POST":
            await self.invoker.handle(http, request, invocations[1])
        elif self.queue is not None and request.path in SQS_PATHS:
            await self.queue.handle(http, request)
        elif self.sockets is not None and request.path == stage:
            # The API's own URL, which leads past the distribution.
            await self.sockets.serve(http, request, list(request.headers), request.query)
        elif request.path.lower().startswith((f"{stage}/@connections/", f"{stage}/%40connections/")):
            await self.management.handle(http, request, request.path.rpartition("/")[2])
        else:
            await http.respond_json(404, {"message": "Not Found"})
