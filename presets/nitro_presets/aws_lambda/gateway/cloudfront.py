"""What the stack's distribution does in front of the APIs, so that local paths are the same."""

from __future__ import annotations

from urllib.parse import quote, unquote

from nitro_presets.aws_lambda.cloudfront_secret import HOST_HEADER, SECRET_HEADER
from nitro_presets.aws_lambda.gateway.formats import TRACE_HEADER
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest
from nitro_presets.aws_lambda.websocket.events import PATH_PARAMETER


def pass_headers(request: GatewayRequest, domain: str, secret: str) -> list[tuple[str, str]]:
    """Return a request's header fields as an API gets them from the distribution.

    Args:
        request: The viewer's request.
        domain: The API's own host, which CloudFront calls it by.
        secret: What the distribution proves itself by.
    """
    replaced = {"host", HOST_HEADER, SECRET_HEADER}
    kept = [(name, value) for name, value in request.headers if name.lower() not in replaced]
    return [("Host", domain), *kept, (HOST_HEADER, request.get("host") or ""), (SECRET_HEADER, secret)]


def add_client(request: GatewayRequest, headers: list[tuple[str, str]], trace: str) -> list[tuple[str, str]]:
    """Add what an API says of its client, in place of what the client says of itself.

    Args:
        request: The client's request.
        headers: Its header fields, as they are to reach the function.
        trace: The trace that starts with it.
    """
    port = (request.get("host") or "").rpartition(":")[2]
    told = [value for name, value in headers if name.lower() == "x-forwarded-for"]
    replaced = {"x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", TRACE_HEADER.lower()}
    return [
        *((name, value) for name, value in headers if name.lower() not in replaced),
        (TRACE_HEADER, trace),
        ("X-Forwarded-For", ", ".join([*told, request.client])),
        # What is true of this client; on AWS none comes in the clear.
        ("X-Forwarded-Port", port if port.isdigit() else "80"),
        ("X-Forwarded-Proto", "http"),
    ]


def move_path(request: GatewayRequest) -> str:
    """Return the query of a handshake, with the path in it and no other that claims to be it.

    Example:
        >>> move_path(GatewayRequest("GET", "/api/chat?a=1&nitro%5Fpath=/admin", (), ""))
        'a=1&nitro_path=%2Fapi%2Fchat'
    """
    parts = [part for part in request.query.split("&") if part]
    kept = [part for part in parts if unquote(part.partition("=")[0].replace("+", " ")) != PATH_PARAMETER]
    return "&".join([*kept, f"{PATH_PARAMETER}={quote(request.path, safe='')}"])
