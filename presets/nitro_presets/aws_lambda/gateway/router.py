"""The routes of the gateway's port: the app's paths to the functions, AWS's APIs below `/_aws`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nitro_presets.aws_lambda.gateway.cloudfront import forward, forward_headers, move_path_to_query, replace_host
from nitro_presets.aws_lambda.gateway.dynamodb_api import DynamoDbApi
from nitro_presets.aws_lambda.gateway.fifo_queue import FifoQueue
from nitro_presets.aws_lambda.gateway.http_api import HttpApi
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest, HttpConnection
from nitro_presets.aws_lambda.gateway.lambda_api import LambdaApi
from nitro_presets.aws_lambda.gateway.management_api import ManagementApi
from nitro_presets.aws_lambda.gateway.publish_endpoint import PublishEndpoint
from nitro_presets.aws_lambda.gateway.s3_origin import S3Origin
from nitro_presets.aws_lambda.gateway.secrets_api import SecretsApi
from nitro_presets.aws_lambda.gateway.websocket_api import WebSocketApi
from nitro_presets.aws_lambda.gateway.websocket_events import WebSocketEvents
from nitro_py.errors import HTTPError
from nitro_py.headers import Headers
from nitro_py.runtime.asgi.internal_routes import PROBES, PUBLISH_PATH
from nitro_py.runtime.hosts import HostCheck

ROOT = "/_aws"
DYNAMODB_PATHS = (f"{ROOT}/dynamodb", f"{ROOT}/dynamodb/")
SQS_PATHS = (f"{ROOT}/sqs", f"{ROOT}/sqs/")
SECRETS_PATHS = {f"{ROOT}/{service}{end}": service for service in ("secretsmanager", "ssm") for end in ("", "/")}
_INVOCATIONS = re.compile(rf"{ROOT}/2015-03-31/functions/([^/]+)/invocations")


@dataclass(frozen=True, slots=True)
class GatewayRouter:
    """The router of the gateway's port.

    Args:
        api: The id, stage and domain of the WebSocket API.
        secret: The value of `NITRO_ORIGIN_SECRET`; `None` without CloudFront.
        management: The `@connections` API.
        lambda_api: Lambda's Invoke API.
        dynamodb: DynamoDB, if there is a table.
        websocket_api: The WebSocket API, if there is one.
        http: The Function URL or HTTP API, if there is one.
        queue: The queue, if messages are ordered.
        secrets: The services that keep secrets, if the app has any.
        publish_endpoint: The publish endpoint, if there is a token.
        public: The bucket of the public files, if there is one.
        host_check: The check of the host that each request names; `None` if every host is allowed.
    """

    api: WebSocketEvents
    secret: str | None
    management: ManagementApi
    lambda_api: LambdaApi
    dynamodb: DynamoDbApi | None
    websocket_api: WebSocketApi | None
    http: HttpApi | None
    queue: FifoQueue | None
    secrets: SecretsApi | None
    publish_endpoint: PublishEndpoint | None
    public: S3Origin | None = None
    host_check: HostCheck | None = None

    async def handle(self, http: HttpConnection, request: GatewayRequest) -> None:
        """Answer a request, or serve a WebSocket to its end."""
        if refusal := self._check_host(request):
            content = {"status": refusal.status, "message": refusal.message, "data": refusal.data}
            await http.respond_json(refusal.status, content)
        elif request.path.startswith(f"{ROOT}/"):
            await self._call_service(http, request)
        elif self.publish_endpoint is not None and request.path == PUBLISH_PATH:
            await self.publish_endpoint.handle(http, request)
        elif self.secret is None:
            await self._serve_directly(http, request)
        elif self.websocket_api is not None and request.get("sec-websocket-key") is not None:
            # The test of the CloudFront function, which does not see `Upgrade`.
            headers = forward_headers(request, self.api.domain, self.secret)
            await self.websocket_api.serve(http, forward(request), headers, move_path_to_query(request))
        elif self.http is not None:
            rewritten = self.public.rewrite(request) if self.public is not None else None
            if self.public is not None and rewritten is not None:
                if await self.public.serve(http, rewritten):
                    return
                request = rewritten
            headers = forward_headers(request, self.http.domain, self.secret)
            await self.http.serve(http, forward(request), headers)
        else:
            await http.respond(404)

    async def _serve_directly(self, http: HttpConnection, request: GatewayRequest) -> None:
        """Serve a request to the HTTP function's own URL."""
        if self.http is None:
            await http.respond(404)
        else:
            await self.http.serve(http, request, replace_host(request, self.http.domain))

    def _check_host(self, request: GatewayRequest) -> HTTPError | None:
        if self.host_check is None or request.path in PROBES:
            return None
        return self.host_check.check(Headers(request.headers).to_raw())

    async def _call_service(self, http: HttpConnection, request: GatewayRequest) -> None:
        stage = f"{ROOT}/{self.api.stage}"
        invocations = _INVOCATIONS.fullmatch(request.path)
        if invocations is not None and request.method == "POST":
            await self.lambda_api.handle(http, request, invocations[1])
        elif self.dynamodb is not None and request.path in DYNAMODB_PATHS:
            await self.dynamodb.handle(http, request)
        elif self.queue is not None and request.path in SQS_PATHS:
            await self.queue.handle(http, request)
        elif self.secrets is not None and request.path in SECRETS_PATHS:
            await self.secrets.handle(http, request, SECRETS_PATHS[request.path])
        elif self.websocket_api is not None and request.path == stage:
            # The API's own URL, without CloudFront.
            headers = replace_host(request, self.api.domain)
            await self.websocket_api.serve(http, request, headers, request.query)
        elif request.path.lower().startswith((f"{stage}/@connections/", f"{stage}/%40connections/")):
            await self.management.handle(http, request, request.path.rpartition("/")[2])
        else:
            await http.respond_json(404, {"message": "Not Found"})
