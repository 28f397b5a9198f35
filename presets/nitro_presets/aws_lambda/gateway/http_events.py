"""HTTP requests as events in payload format 2.0, and the responses of functions."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from nitro_presets.aws_lambda.gateway.bundle import HttpKind
from nitro_presets.aws_lambda.gateway.connections import now
from nitro_presets.aws_lambda.gateway.formats import format_request_time, make_request_id
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest
from nitro_presets.aws_lambda.gateway.websocket_events import LambdaEvent

Fields = list[tuple[str, str]]
# Header fields of one connection (RFC 9110, 7.6.1), and the length, which the gateway sets itself.
_OWN = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
_TEXT = frozenset({"application/javascript", "application/json", "application/xml"})


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A function's response to a request.

    Args:
        status: The HTTP status.
        headers: The header fields.
        body: The body; empty if it streams.
        length: The function's `Content-Length`, for the response to `HEAD`.
    """

    status: int
    headers: Fields
    body: bytes = b""
    length: str | None = None


def make_http_event(
    kind: HttpKind, request: GatewayRequest, headers: Fields, domain: str, body: bytes
) -> LambdaEvent:
    """Make the event of a request.

    Args:
        kind: The source of the event.
        request: The request.
        headers: The header fields for the function.
        domain: The host of the API or Function URL.
        body: The body of the request.
    """
    fields: dict[str, str] = {}
    cookies: list[str] = []
    for name, value in headers:
        lower = name.lower()
        if lower == "cookie":
            cookies += [item.strip() for item in value.split(";") if item.strip()]
        elif lower not in _OWN - {"content-length"}:
            fields[lower] = f"{fields[lower]},{value}" if lower in fields else value
    # HTTP APIs decode the path, and drop what follows a decoded question mark.
    path = request.path if kind == "function-url" else unquote(request.path).partition("?")[0]
    time = now()
    event: LambdaEvent = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.query,
        "headers": fields,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": domain.partition(".")[0],
            "domainName": domain,
            "domainPrefix": domain.partition(".")[0],
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.client,
                "userAgent": request.get("user-agent") or "",
            },
            "requestId": make_request_id(),
            "routeKey": "$default",
            "stage": "$default",
            "time": format_request_time(time),
            "timeEpoch": time,
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if request.query:
        event["queryStringParameters"] = _join_parameters(request.query)
    if body:
        text = _read_text(body, fields)
        event["isBase64Encoded"] = text is None
        event["body"] = base64.b64encode(body).decode() if text is None else text
    return event


def read_http_answer(body: bytes) -> HttpAnswer | None:
    """Read a function's buffered response; return `None` if API Gateway does not accept it.

    A response without `statusCode` is a body of JSON with status 200.
    """
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return HttpAnswer(200, [("content-type", "application/json")], body)
    try:
        text = answer.get("body") or ""
        content = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
        return HttpAnswer(int(answer["statusCode"]), _read_fields(answer), content, _find_length(answer))
    except (ValueError, TypeError, AttributeError, binascii.Error):
        return None


def read_prelude(text: bytes) -> HttpAnswer | None:
    """Read the prelude of a streamed response; return `None` if it is malformed."""
    try:
        prelude: dict[str, Any] = json.loads(text)
        return HttpAnswer(int(prelude["statusCode"]), _read_fields(prelude), length=_find_length(prelude))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _read_fields(answer: dict[str, Any]) -> Fields:
    headers = [(str(name), str(value)) for name, value in (answer.get("headers") or {}).items()]
    kept = [(name, value) for name, value in headers if name.lower() not in _OWN]
    return [*kept, *(("set-cookie", str(cookie)) for cookie in answer.get("cookies") or ())]


def _find_length(answer: dict[str, Any]) -> str | None:
    lengths = [value for name, value in (answer.get("headers") or {}).items() if name.lower() == "content-length"]
    return str(lengths[-1]) if lengths else None


def _join_parameters(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _read_text(body: bytes, fields: dict[str, str]) -> str | None:
    """Return a body as text; `None` if the event holds it as base64."""
    kind = fields.get("content-type", "").partition(";")[0].strip().lower()
    if "content-encoding" in fields or not (kind.startswith("text/") or kind in _TEXT):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
