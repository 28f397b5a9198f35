"""Signature Version 4 for requests to AWS.

The signing key, and what the signatures of one second share, are kept: benchmark row `aws-posts`.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote

from nitro_presets.aws_lambda.aws_client.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
# Proxies and tracers change these on the way, so that they are never signed.
UNSIGNED = frozenset(
    {
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)


class _Moment(NamedTuple):
    """The parts that the signatures of one second share."""

    stamp: str
    prefix: str
    authorization: str
    key: bytes


class Signer:
    """A signer of requests to one service in one region.

    Follows "AWS Signature Version 4" in the IAM User Guide, and botocore where that leaves a choice: the path is
    percent-encoded once more than it is sent, as every service but S3 expects.

    Args:
        region: The region, such as `eu-central-1`.
        service: The signing name, such as `execute-api`.

    Example:
        >>> signer = Signer("eu-central-1", "execute-api")
        >>> headers = {"host": "abc.execute-api.eu-central-1.amazonaws.com"}
        >>> credentials = Credentials("AKID", "secret")
        >>> sorted(signer.sign(credentials, "GET", "/prod", "", headers, b"", 1_700_000_000))
        ['authorization', 'x-amz-date']
    """

    def __init__(self, region: str, service: str) -> None:
        self._region = region
        self._service = service
        self._credentials: Credentials | None = None
        self._second = 0
        self._moment = _Moment("", "", "", b"")
        self._day = ""
        self._key = b""

    def sign(
        self,
        credentials: Credentials,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        now: float,
    ) -> dict[str, str]:
        """Sign a request.

        Args:
            credentials: The credentials to sign with.
            method: The method, in capitals.
            path: The path as it is sent, percent-encoded, with its leading slash.
            query: The query as it is sent, without the question mark.
            headers: The header fields, with names in lower case, `host` included.
            body: The body.
            now: The time, in seconds since the epoch.

        Returns:
            The fields to add: `x-amz-date`, `authorization`, and `x-amz-security-token` if there is a token.
        """
        if credentials is not self._credentials or int(now) != self._second:
            self._enter(credentials, int(now))
        moment = self._moment
        signed = {"x-amz-date": moment.stamp}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        fields = {**headers, **signed}
        order, names = _order(tuple(fields))
        lines = "".join([f"{name}:{' '.join(fields[name].split())}\n" for name in order])
        canonical = (
            f"{method}\n{_quote_path(path)}\n{_sort_query(query) if query else ''}\n"
            f"{lines}\n{names}\n{sha256(body).hexdigest()}"
        )
        text = moment.prefix + sha256(canonical.encode()).hexdigest()
        signature = hmac.digest(moment.key, text.encode(), "sha256").hex()
        signed["authorization"] = f"{moment.authorization}{names}, Signature={signature}"
        return signed

    def _enter(self, credentials: Credentials, second: int) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = stamp[:8]
        if credentials is not self._credentials or day != self._day:
            self._key = _derive_key(credentials.secret_key, day, self._region, self._service)
            self._day = day
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        self._credentials = credentials
        self._second = second
        self._moment = _Moment(
            stamp=stamp,
            prefix=f"{ALGORITHM}\n{stamp}\n{scope}\n",
            authorization=f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders=",
            key=self._key,
        )


def _derive_key(secret: str, *parts: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*parts, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@lru_cache(maxsize=256)
def _order(names: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    order = tuple(sorted(name for name in names if name not in UNSIGNED))
    return order, ";".join(order)


def _quote_path(path: str) -> str:
    if "//" in path or "/." in path:
        path = _remove_dot_segments(path)
    return quote(path, safe="/~")


def _remove_dot_segments(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _sort_query(query: str) -> str:
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&"))
    return "&".join(f"{key}={value}" for key, value in pairs)
