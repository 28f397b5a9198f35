"""What the edge in front of the functions hands on: the viewer's host, and a secret that proves who says so."""

from __future__ import annotations

from typing import Any

from nitro_py.errors import HTTPError
from nitro_py.headers import Headers

HOST_HEADER = "x-nitro-host"
SECRET_HEADER = "x-nitro-origin-secret"
SECRET_VARIABLE = "NITRO_ORIGIN_SECRET"
CLOUDFRONT_HEADERS = frozenset({HOST_HEADER, SECRET_HEADER})


def read_viewer_headers(headers: Headers, secret: str | None) -> Headers:
    """Return the header fields that handlers see, with the viewer's host where the edge names it.

    Args:
        headers: The fields as they came.
        secret: What `NITRO_ORIGIN_SECRET` says; without it there is no edge, and nobody's word on the host counts.

    Raises:
        HTTPError: 403, the request did not come through the edge.

    Example:
        >>> sent = Headers({"x-nitro-host": "a.test", "x-nitro-origin-secret": "s", "host": "b"})
        >>> read_viewer_headers(sent, "s")["host"]
        'a.test'
    """
    if secret:
        check_secret(headers.get(SECRET_HEADER, ""), secret)
    kept = Headers([pair for pair in headers.pairs() if pair[0] not in CLOUDFRONT_HEADERS])
    host = headers.get(HOST_HEADER)
    if secret and host:
        kept["host"] = host
    return kept


def check_secret(given: str, secret: str) -> None:
    """Refuse who does not know the secret, in a time that tells nothing of it."""
    from hmac import compare_digest

    if not compare_digest(given.encode(), secret.encode()):
        raise HTTPError(403, "Requests must come through the distribution in front of this function.")


def hide_cloudfront_headers(event: dict[str, Any]) -> dict[str, Any]:
    """Return a gateway's event without what the edge added to its header fields."""
    kept = dict(event)
    for fields in ("headers", "multiValueHeaders"):
        if event.get(fields):
            kept[fields] = {
                name: value for name, value in event[fields].items() if name.lower() not in CLOUDFRONT_HEADERS
            }
    return kept
