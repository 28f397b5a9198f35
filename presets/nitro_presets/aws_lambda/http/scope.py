"""From a Function URL's event to an ASGI scope, and what other gateways' scopes need beside what Mangum reads."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import quote, unquote

from nitro_py.event import Scope

LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


def make_scope(event: dict[str, Any], context: object) -> Scope:
    """Makes the ASGI scope of a request in payload format 2.0.

    Args:
        event: The event of a Function URL or HTTP API.
        context: The invocation's context.
    """
    request = event["requestContext"]["http"]
    headers = [(name.lower(), value) for name, value in event.get("headers", {}).items()]
    if event.get("cookies"):
        headers = [field for field in headers if field[0] != "cookie"]
        headers.append(("cookie", "; ".join(event["cookies"])))
    scheme = event.get("headers", {}).get("x-forwarded-proto", "https")
    raw_path = encode_path(event["rawPath"])
    return {
        "type": "http",
        # Up to 2.3 an application listens for the client's leaving by itself, later it waits for `send` to fail.
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request["method"],
        "scheme": scheme,
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": event.get("rawQueryString", "").encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": (request["sourceIp"], 0),
        "server": None,
        "aws.event": event,
        "aws.context": context,
    }


def read_body(event: dict[str, Any]) -> bytes:
    """Reads the body of a request."""
    body: str = event.get("body") or ""
    return base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()


def complete_scope(scope: Scope) -> Scope:
    """Mends Mangum's scope: the path as the client wrote it, the client's own address behind a load balancer."""
    event = scope["aws.event"]
    raw_path = encode_path(event.get("rawPath") or event.get("path") or "/")
    address, port = scope["client"]
    if isinstance(address, str):
        # A load balancer adds the address that it saw after those that it was told.
        address = address.rpartition(",")[2].strip()
    return {**scope, "path": unquote(raw_path), "raw_path": raw_path.encode(), "client": (address, port)}


def encode_path(path: str) -> str:
    """Percent-encodes what may not stand in a URL's path; gateways differ on whether it is encoded already.

    Example:
        >>> encode_path("/a b/c%2Fd/100%")
        '/a%20b/c%2Fd/100%25'
    """
    return quote(LONE_PERCENT.sub("%25", path), safe="/:@!$&'()*+,;=~%")
