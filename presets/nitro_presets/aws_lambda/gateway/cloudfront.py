"""What the stack's CloudFront distribution does in front of the APIs, so that local paths are the same."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote, unquote

from nitro_presets.aws_lambda.cloudfront_secret import (
    ADDRESS_HEADER,
    CLOUDFRONT_HEADERS,
    HOST_HEADER,
    SECRET_HEADER,
)
from nitro_presets.aws_lambda.gateway.formats import TRACE_HEADER
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest
from nitro_presets.aws_lambda.websocket.events import PATH_PARAMETER

# The address that the APIs see instead of the viewer's: an edge location.
EDGE = "198.51.100.1"


def forward(request: GatewayRequest) -> GatewayRequest:
    """Return a request as an API sees it: from an edge location."""
    return replace(request, client=EDGE)


def replace_host(request: GatewayRequest, domain: str) -> list[tuple[str, str]]:
    """Return the header fields of a request to an API's own URL, which is on this machine only here."""
    return [("Host", domain), *((name, value) for name, value in request.headers if name.lower() != "host")]


def forward_headers(request: GatewayRequest, domain: str, secret: str) -> list[tuple[str, str]]:
    """Return the header fields that CloudFront sends to an origin.

    Args:
        request: The viewer's request.
        domain: The host of the origin.
        secret: The value of `x-nitro-origin-secret`.
    """
    replaced = {"host", "x-forwarded-for", *CLOUDFRONT_HEADERS}
    kept = [(name, value) for name, value in request.headers if name.lower() not in replaced]
    forwarded = [value for name, value in request.headers if name.lower() == "x-forwarded-for"]
    return [
        ("Host", domain),
        *kept,
        ("X-Forwarded-For", ", ".join([*forwarded, request.client])),
        (HOST_HEADER, request.get("host") or ""),
        (ADDRESS_HEADER, request.client),
        (SECRET_HEADER, secret),
    ]


def add_forwarded_headers(
    request: GatewayRequest, headers: list[tuple[str, str]], trace: str
) -> list[tuple[str, str]]:
    """Add the `X-Forwarded-*` fields and the trace of an API, in place of the client's own.

    Args:
        request: The client's request.
        headers: The header fields for the function.
        trace: The value of `X-Amzn-Trace-Id`.
    """
    port = (request.get("host") or "").rpartition(":")[2]
    forwarded = [value for name, value in headers if name.lower() == "x-forwarded-for"]
    replaced = {"x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", TRACE_HEADER.lower()}
    return [
        *((name, value) for name, value in headers if name.lower() not in replaced),
        (TRACE_HEADER, trace),
        ("X-Forwarded-For", ", ".join([*forwarded, request.client])),
        # As it is here; on AWS every client uses TLS.
        ("X-Forwarded-Port", port if port.isdigit() else "80"),
        ("X-Forwarded-Proto", "http"),
    ]


def move_path_to_query(request: GatewayRequest) -> str:
    """Return the query of a handshake with its path added, in place of a path that the client has set.

    Example:
        >>> move_path_to_query(GatewayRequest("GET", "/api/chat?a=1&nitro%5Fpath=/admin", (), ""))
        'a=1&nitro_path=%2Fapi%2Fchat'
    """
    parts = [part for part in request.query.split("&") if part]
    kept = [part for part in parts if unquote(part.partition("=")[0].replace("+", " ")) != PATH_PARAMETER]
    return "&".join([*kept, f"{PATH_PARAMETER}={quote(request.path, safe='')}"])
