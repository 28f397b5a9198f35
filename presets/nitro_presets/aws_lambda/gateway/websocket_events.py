"""The events of a WebSocket API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from nitro_presets.aws_lambda.gateway.connections import Disconnect, GatewayConnection, now
from nitro_presets.aws_lambda.gateway.formats import (
    format_request_time,
    make_message_id,
    make_request_id,
)

LambdaEvent = dict[str, Any]
# Header fields of the connection itself, which API Gateway does not pass on.
_HOP_BY_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})


@dataclass(frozen=True, slots=True)
class WebSocketEvents:
    """The events of one WebSocket API.

    Args:
        id: The id of the API.
        stage: The stage.
        domain: The host of the API's own URL.
    """

    id: str
    stage: str
    domain: str

    def connect(
        self, connection: GatewayConnection, headers: Iterable[tuple[str, str]], query: str
    ) -> LambdaEvent:
        """Make a `$connect` event.

        Args:
            connection: The connection.
            headers: The header fields of the handshake.
            query: The query of the handshake, without the question mark.
        """
        fields: dict[str, list[str]] = {}
        names: dict[str, str] = {}
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                fields.setdefault(names.setdefault(name.lower(), name), []).append(value)
        event: LambdaEvent = {
            "headers": {name: values[-1] for name, values in fields.items()},
            "multiValueHeaders": fields,
        }
        parameters: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            parameters.setdefault(name, []).append(value)
        if parameters:
            event["queryStringParameters"] = {name: values[-1] for name, values in parameters.items()}
            event["multiValueQueryStringParameters"] = parameters
        event["requestContext"] = self._context(connection, "$connect", "CONNECT")
        event["isBase64Encoded"] = False
        return event

    def message(self, connection: GatewayConnection, text: str) -> LambdaEvent:
        """Make the event of a message."""
        context = self._context(connection, "$default", "MESSAGE")
        context["messageId"] = make_message_id()
        return {"requestContext": context, "body": text, "isBase64Encoded": False}

    def disconnect(self, connection: GatewayConnection, disconnect: Disconnect) -> LambdaEvent:
        """Make a `$disconnect` event."""
        headers = {"Host": self.domain, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
        context = self._context(connection, "$disconnect", "DISCONNECT")
        context["disconnectStatusCode"] = disconnect.code
        context["disconnectReason"] = disconnect.reason
        return {
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "requestContext": context,
            "isBase64Encoded": False,
        }

    def _context(self, connection: GatewayConnection, route: str, kind: str) -> LambdaEvent:
        time = now()
        return {
            "routeKey": route,
            "eventType": kind,
            "extendedRequestId": make_message_id(),
            "requestTime": format_request_time(time),
            "messageDirection": "IN",
            "stage": self.stage,
            "connectedAt": connection.connected_at,
            "requestTimeEpoch": time,
            "identity": {"sourceIp": connection.source_ip},
            "requestId": make_request_id(),
            "domainName": self.domain,
            "connectionId": connection.id,
            "apiId": self.id,
        }
