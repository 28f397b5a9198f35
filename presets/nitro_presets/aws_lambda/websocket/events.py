"""Reading the events of an API Gateway WebSocket API."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlencode

from nitro_presets.aws_lambda.cloudfront_secret import read_viewer_fields
from nitro_py.errors import HTTPError
from nitro_py.event import ASGIMessage, Scope
from nitro_py.headers import Headers
from nitro_py.runtime.manifest import Route
from nitro_py.runtime.routing.router import parameter_names

# The query parameter that holds the path, because API Gateway's own URL ends with the stage.
PATH_PARAMETER = "nitro_path"


def read_handshake(event: Mapping[str, Any], routes: Sequence[Route], secret: str | None) -> Scope:
    """Turn a `$connect` event into an ASGI scope.

    Args:
        event: The event.
        routes: The app's routes; a client of the only WebSocket route need not name its path.
        secret: The secret that CloudFront adds, if there is a distribution.

    Raises:
        HTTPError: 403, the handshake did not come through CloudFront; 400, `nitro_path` is no path.
    """
    headers, address = read_viewer_fields(read_headers(event), secret)
    query = read_query(event)
    named = [value for name, value in query if name == PATH_PARAMETER]
    raw_path = quote(read_path(named[-1]), safe="/:@!$&'()*+,;=~%") if named else default_path(routes)
    if not raw_path.startswith("/"):
        # A guard that looks at the path would see another one than the router.
        raise HTTPError(400, f"`{PATH_PARAMETER}` does not begin with a slash.")
    offered = [item.strip() for field in headers.getlist("sec-websocket-protocol") for item in field.split(",")]
    rest = urlencode([pair for pair in query if pair[0] != PATH_PARAMETER], quote_via=quote)
    return {
        "type": "websocket",
        # Only the local gateway serves without TLS.
        "scheme": "ws" if headers.get("x-forwarded-proto") == "http" else "wss",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": rest.encode(),
        "root_path": "",
        "headers": headers.to_raw(),
        "subprotocols": [item for item in offered if item],
        "client": (address or event["requestContext"]["identity"]["sourceIp"], 0),
        "server": (event["requestContext"].get("domainName", ""), 443),
        "aws.event": event,
    }


def read_path(value: str) -> str:
    """Return the path in `nitro_path`, which may come as CloudFront's function has encoded it.

    Example:
        >>> read_path("%2Frooms%2Fa%252Fb"), read_path("/rooms/a%2Fb")
        ('/rooms/a%2Fb', '/rooms/a%2Fb')
    """
    return value if value.startswith("/") else unquote(value)


def write_socket_url(api: str, path: str) -> str:
    """Write the URL of a socket at the WebSocket API's own host.

    Args:
        api: The stage's URL, of `https`.
        path: The path, and a query if there is one.

    Example:
        >>> write_socket_url("https://abc.example/prod", "/chat?room=1")
        'wss://abc.example/prod?nitro_path=%2Fchat&room=1'
    """
    path, mark, query = path.partition("?")
    url = f"{api.replace('http', 'ws', 1)}?{PATH_PARAMETER}={quote(path, safe='')}"
    return f"{url}&{query}" if mark else url


def read_headers(event: Mapping[str, Any]) -> Headers:
    """Read an event's header fields, with every value of a repeated one."""
    several = event.get("multiValueHeaders")
    if several:
        fields = [(name, value) for name, values in several.items() for value in values]
    else:
        fields = list((event.get("headers") or {}).items())
    # Cookies may hold UTF-8, which a header field carries as its bytes.
    return Headers.from_raw([(name.encode(), value.encode()) for name, value in fields])


def read_query(event: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Read an event's query parameters."""
    several = event.get("multiValueQueryStringParameters")
    if several:
        return [(name, value) for name, values in several.items() for value in values]
    return list((event.get("queryStringParameters") or {}).items())


def read_body(event: Mapping[str, Any]) -> str:
    """Read a message's text, which is base64 if it comes through a queue."""
    body: str = event.get("body") or ""
    return base64.b64decode(body).decode() if event.get("isBase64Encoded") else body


def default_path(routes: Sequence[Route]) -> str:
    """Return the path of the app's WebSocket route if there is one only, without parameters; else `/`."""
    paths = [route.path for route in routes if route.kind == "websocket"]
    if len(paths) == 1 and not parameter_names(paths[0]):
        return paths[0]
    return "/"


async def receive_empty_body() -> ASGIMessage:
    """Return an empty body: the ASGI receive callable of a handshake."""
    return {"type": "http.request", "body": b"", "more_body": False}
