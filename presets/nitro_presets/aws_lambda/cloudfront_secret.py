"""The header fields that CloudFront adds: the viewer's host and address, and a secret that proves them."""

from __future__ import annotations

from typing import Any, NamedTuple

from nitro_py.errors import HTTPError
from nitro_py.headers import Headers

HOST_HEADER = "x-nitro-host"
ADDRESS_HEADER = "x-nitro-address"
SECRET_HEADER = "x-nitro-origin-secret"
REQUEST_HEADER = "x-nitro-request"
CLOUDFRONT_HEADERS = frozenset({ADDRESS_HEADER, HOST_HEADER, REQUEST_HEADER, SECRET_HEADER})


class ViewerFields(NamedTuple):
    """What handlers see of a request that may have come through CloudFront.

    Args:
        headers: The header fields.
        address: The viewer's IP address; `None` if the event has it.
    """

    headers: Headers
    address: str | None


def read_viewer_fields(headers: Headers, secret: str | None) -> ViewerFields:
    """Return the header fields that handlers see, with the viewer's host and address if CloudFront names them.

    Args:
        headers: The fields as they came.
        secret: The value of `NITRO_ORIGIN_SECRET`. Without it there is no distribution, and fields that name
            the viewer's host and address are not trusted.

    Raises:
        HTTPError: 403, the request did not come through CloudFront.

    Example:
        >>> sent = Headers({"x-nitro-host": "a.test", "x-nitro-origin-secret": "s", "host": "b"})
        >>> read_viewer_fields(sent, "s").headers["host"]
        'a.test'
    """
    if secret:
        check_secret(headers.get(SECRET_HEADER, ""), secret)
    kept = Headers([pair for pair in headers.pairs() if pair[0] not in CLOUDFRONT_HEADERS])
    host = headers.get(HOST_HEADER)
    if secret and host:
        kept["host"] = host
    return ViewerFields(kept, headers.get(ADDRESS_HEADER) if secret else None)


def check_secret(given: str, secret: str) -> None:
    """Refuse a request without the secret; the comparison takes the same time for every wrong one."""
    from hmac import compare_digest

    if not compare_digest(given.encode(), secret.encode()):
        raise HTTPError(403, "Requests must come through the distribution in front of this function.")


def hide_cloudfront_headers(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event without the header fields that CloudFront adds."""
    kept = dict(event)
    for fields in ("headers", "multiValueHeaders"):
        if event.get(fields):
            kept[fields] = {
                name: value for name, value in event[fields].items() if name.lower() not in CLOUDFRONT_HEADERS
            }
    return kept
