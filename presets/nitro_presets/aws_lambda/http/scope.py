"""From a Function URL's event to an ASGI scope, and what other gateways' scopes need beside what Mangum reads."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from nitro_presets.aws_lambda.cloudfront_secret import (
    CLOUDFRONT_HEADERS,
    hide_cloudfront_headers,
    read_viewer_headers,
)
from nitro_py.event import Scope
from nitro_py.headers import Headers

LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
# What most paths consist of, and what encoding leaves as it is.
PLAIN = re.compile("[A-Za-z0-9/_.-]*")
# Up to 2.3 an application listens for the client's leaving by itself, later it waits for `send` to fail.
ASGI = {"version": "3.0", "spec_version": "2.3"}


class LazyHeaders:
    """Header fields, as bytes for those who ask for them: most handlers don't.

    Args:
        fields: The fields, their names in lower case.

    Example:
        >>> list(LazyHeaders({"host": "a.test"}))
        [(b'host', b'a.test')]
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    @property
    def names(self) -> Collection[str]:
        """Their names."""
        return self._fields.keys()

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter([(name.encode(), value.encode()) for name, value in self._fields.items()])

    def __len__(self) -> int:
        return len(self._fields)


def make_scope(event: dict[str, Any], context: object) -> Scope:
    """Make the ASGI scope of a request in payload format 2.0.

    Args:
        event: The event of a Function URL or HTTP API.
        context: The invocation's context.
    """
    request = event["requestContext"]["http"]
    headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
    if event.get("cookies"):
        headers["cookie"] = "; ".join(event["cookies"])
    raw_path = encode_path(event["rawPath"])
    return {
        "type": "http",
        "asgi": ASGI,
        "http_version": "1.1",
        "method": request["method"],
        "scheme": headers.get("x-forwarded-proto", "https"),
        "path": unquote(raw_path) if "%" in raw_path else raw_path,
        "raw_path": raw_path.encode(),
        "query_string": event.get("rawQueryString", "").encode(),
        "root_path": "",
        "headers": LazyHeaders(headers),
        "client": (request["sourceIp"], 0),
        "server": None,
        "aws.event": event,
        "aws.context": context,
    }


def read_viewer_scope(scope: Scope, secret: str | None) -> Scope:
    """Return a request's scope as handlers see it, without what the edge adds, there and in the gateway's event.

    Args:
        scope: The scope.
        secret: What `NITRO_ORIGIN_SECRET` says.

    Raises:
        HTTPError: 403, the request did not come through the edge.
    """
    fields = scope["headers"]
    if not secret and isinstance(fields, LazyHeaders) and CLOUDFRONT_HEADERS.isdisjoint(fields.names):
        return scope
    headers = read_viewer_headers(Headers.from_raw(fields), secret)
    return {**scope, "headers": headers.to_raw(), "aws.event": hide_cloudfront_headers(scope["aws.event"])}


def read_body(event: dict[str, Any]) -> bytes:
    """Read the body of a request."""
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode()
    import base64  # Few requests have such a body.

    return base64.b64decode(body)


def complete_scope(scope: Scope) -> Scope:
    """Mend Mangum's scope: the path as the client wrote it, the client's own address behind a load balancer."""
    event = scope["aws.event"]
    raw_path = encode_path(event.get("rawPath") or event.get("path") or "/")
    address, port = scope["client"]
    if isinstance(address, str):
        # A load balancer adds the address that it saw after those that it was told.
        address = address.rpartition(",")[2].strip()
    return {**scope, "path": unquote(raw_path), "raw_path": raw_path.encode(), "client": (address, port)}


def encode_path(path: str) -> str:
    """Percent-encode what may not stand in a URL's path; gateways differ on whether it is encoded already.

    Example:
        >>> encode_path("/a b/c%2Fd/100%")
        '/a%20b/c%2Fd/100%25'
    """
    if PLAIN.fullmatch(path):
        return path
    return quote(LONE_PERCENT.sub("%25", path), safe="/:@!$&'()*+,;=~%")
