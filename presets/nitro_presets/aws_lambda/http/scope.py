"""From events in payload format 2.0 to ASGI scopes, and the repair of the scopes that Mangum makes of others."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from nitro_presets.aws_lambda.cloudfront_secret import (
    CLOUDFRONT_HEADERS,
    hide_cloudfront_headers,
    read_viewer_fields,
)
from nitro_py.event import Scope
from nitro_py.headers import Headers

# What the host of a Function URL has in it.
FUNCTION_URL = ".lambda-url."
LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
# A path of these needs no encoding. Most are.
PLAIN = re.compile("[A-Za-z0-9/_.-]*")
# Up to spec version 2.3 Starlette listens for `http.disconnect` itself; from 2.4 on it waits for `send` to fail.
ASGI = {"version": "3.0", "spec_version": "2.3"}


class LazyHeaders:
    """Header fields that are encoded only when they are iterated over.

    Most handlers never iterate over them (benchmark row `lambda-warm-1`).

    Args:
        fields: The fields, with names in lower case.

    Example:
        >>> list(LazyHeaders({"host": "a.test"}))
        [(b'host', b'a.test')]
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    @property
    def names(self) -> Collection[str]:
        """The names."""
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
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    if event.get("cookies"):
        headers["cookie"] = "; ".join(event["cookies"])
    raw_path = encode_path(event["rawPath"], event)
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
        # A test event that was written by hand may have none.
        "client": (request["sourceIp"], 0) if "sourceIp" in request else None,
        "server": None,
        "aws.event": event,
        "aws.context": context,
    }


def read_viewer_scope(scope: Scope, secret: str | None) -> Scope:
    """Return a scope as handlers see it: without what CloudFront adds, there and in the event.

    Args:
        scope: The scope.
        secret: The value of `NITRO_ORIGIN_SECRET`.

    Raises:
        HTTPError: 403, the request did not come through CloudFront.
    """
    fields = scope["headers"]
    if not secret and isinstance(fields, LazyHeaders) and CLOUDFRONT_HEADERS.isdisjoint(fields.names):
        return scope
    headers, address = read_viewer_fields(Headers.from_raw(fields), secret)
    return {
        **scope,
        "headers": headers.to_raw(),
        "client": (address, 0) if address else scope["client"],
        "aws.event": hide_cloudfront_headers(scope["aws.event"]),
    }


def read_body(event: dict[str, Any]) -> bytes:
    """Read the body of a request."""
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode()
    import base64  # Benchmark row `lambda-cold-http`: few requests have such a body.

    return base64.b64decode(body, validate=True)


def complete_scope(scope: Scope) -> Scope:
    """Repair Mangum's scope: the path as the client sent it, the client's address behind a load balancer."""
    event = scope["aws.event"]
    raw_path = encode_path(event.get("rawPath") or event.get("path") or "/", event)
    address, port = scope["client"]
    if isinstance(address, str):
        # A load balancer appends the address that it sees to those in `X-Forwarded-For`.
        address = address.rpartition(",")[2].strip()
    return {**scope, "path": unquote(raw_path), "raw_path": raw_path.encode(), "client": (address, port)}


def encode_path(path: str, event: dict[str, Any]) -> str:
    """Percent-encode what a URL's path must not contain. Event sources differ in whether they decode it.

    A Function URL hands on what the client sent, so that a percent sign without digits stays the client's error.

    Example:
        >>> encode_path("/a b/c%2Fd/100%", {"requestContext": {}})
        '/a%20b/c%2Fd/100%25'
    """
    if PLAIN.fullmatch(path):
        return path
    if FUNCTION_URL not in event["requestContext"].get("domainName", ""):
        path = LONE_PERCENT.sub("%25", path)
    return quote(path, safe="/:@!$&'()*+,;=~%")
