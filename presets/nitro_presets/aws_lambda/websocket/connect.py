"""The `$connect` route: middleware and the upgrade hook, and what is stored for later invocations."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection
from typing import Any

from nitro_presets.aws_lambda.stack_variables import ORIGIN_SECRET
from nitro_presets.aws_lambda.store.contract import ConnectionRow
from nitro_presets.aws_lambda.websocket.events import read_handshake, receive_empty_body
from nitro_presets.aws_lambda.websocket.services import AwsServices
from nitro_py.errors import HTTPError
from nitro_py.runtime.app import App
from nitro_py.runtime.hooks.upgrade import Refusal, decide_upgrade
from nitro_py.runtime.http.dispatch import make_event
from nitro_py.runtime.routing.router import Match, NoMatch
from nitro_py.websocket import Upgrade, WebSocketHandler

logger = logging.getLogger("nitro_py.aws")

# The longest that a connection lives, in seconds: two hours, and the time that `$disconnect` may take to come.
MAX_LIFETIME = 2 * 60 * 60 + 300
# Header fields that no hook can use after the upgrade: those of the handshake itself and of its way.
DROPPED_HEADERS = frozenset(
    {
        "accept-encoding",
        "cache-control",
        "cdn-loop",
        "cloudfront-forwarded-proto",
        "connection",
        "pragma",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "upgrade",
        "via",
        "x-amz-cf-id",
        "x-amzn-trace-id",
        "x-forwarded-port",
    }
)
# Header fields with secrets, which are stored only if `aws.keep_headers` names them.
SECRET_HEADERS = frozenset({"authorization", "cookie"})

Answer = dict[str, Any]


async def connect(app: App, services: AwsServices, event: dict[str, Any]) -> Answer:
    """Accept or refuse a handshake.

    Args:
        app: The app.
        services: The services.
        event: The `$connect` event.
    """
    id = event["requestContext"]["connectionId"]
    try:
        scope = read_handshake(event, app.manifest.routes, os.environ.get(ORIGIN_SECRET))
    except HTTPError as error:
        return {"statusCode": error.status}
    if app.host_check is not None and (refusal := app.host_check.check(scope["headers"])):
        return {"statusCode": refusal.status}
    match = app.router.match("GET", scope["raw_path"].decode(), "websocket")
    handler = app.socket_handler_of(match.route) if isinstance(match, Match) else None
    if not isinstance(match, Match) or not isinstance(handler, WebSocketHandler):
        return {"statusCode": 400 if isinstance(match, NoMatch) and match.malformed else 404}
    decision, request = await decide_upgrade(
        handler,
        make_event(app, match, scope, receive_empty_body),
        middleware=app.middleware,
        settings=app.settings.websocket,
        offered=tuple(scope["subprotocols"]),
        development=app.development,
    )
    if isinstance(decision, Refusal):
        return {"statusCode": refusal_status(decision.answer)}
    now = time.time()
    kept = [pair for pair in request.headers.pairs() if is_kept(pair[0], services.settings.keep_headers)]
    row = ConnectionRow(
        id=id,
        route=match.route.path,
        url=request.url,
        headers=tuple(kept),
        params=dict(request.params),
        remote_address=request.remote_address,
        namespace=request.path if decision.namespace is None else decision.namespace,
        protocol=decision.protocol,
        context=dict(decision.context),
        connected_at=now,
        expires_at=int(now) + MAX_LIFETIME,
        open_state="none" if handler.open is None else "pending",
    )
    if not await services.store.put_connection(row):
        # The peer has left already, and its `$disconnect` found no row to close.
        await services.start({"kind": "close", "id": id})
    elif handler.open is not None:
        await services.start({"kind": "open", "id": id})
    return accept_handshake(decision)


def is_kept(name: str, keep_headers: Collection[str]) -> bool:
    """Return whether a header field is stored for later hooks."""
    return name not in DROPPED_HEADERS and (name not in SECRET_HEADERS or name in keep_headers)


def accept_handshake(decision: Upgrade) -> Answer:
    """Make the response that accepts a handshake; only the subprotocol reaches the client."""
    if decision.headers:
        logger.warning("API Gateway does not pass on the headers of `Upgrade`: %s.", ", ".join(decision.headers))
    if decision.protocol is None:
        return {"statusCode": 200}
    return {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": decision.protocol}}


def refusal_status(answer: Any) -> int:
    """Return the status of a refusal; API Gateway tells the client nothing else."""
    if isinstance(answer, HTTPError):
        return answer.status
    if isinstance(answer, BaseException):
        return 500
    status = getattr(answer, "status", None) or getattr(answer, "status_code", None)
    # A refusal without a status, or with one of success, is a refusal all the same.
    return status if isinstance(status, int) and status >= 300 else 403
