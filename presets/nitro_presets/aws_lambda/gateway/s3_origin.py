"""The bucket of the public files, as CloudFront asks it, and what S3 answers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote

from nitro_presets.aws_lambda.deploy.public_bucket import PublicBucket, PublicObject
from nitro_presets.aws_lambda.gateway.http_server import GatewayRequest, HttpConnection

_RANGE = re.compile(r"bytes=(?:(\d+)-(\d*)|-(\d+))")
_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
_DROPPED = frozenset({"authorization", "cookie", "if-match", "if-modified-since", "if-unmodified-since"})
_ERROR = "<Error><Code>{}</Code></Error>"


@dataclass(frozen=True, slots=True)
class S3Origin:
    """The origin of the public files.

    Args:
        folder: What was uploaded.
        bucket: The objects, and which paths CloudFront asks the bucket for.
    """

    folder: Path
    bucket: PublicBucket

    def rewrite(self, request: GatewayRequest) -> GatewayRequest | None:
        """Return the request that the edge function makes for the bucket; `None` if another origin answers."""
        if request.method not in ("GET", "HEAD"):
            return None
        target = self._find(request.path)
        if target is None:
            return None
        dropped = set(_DROPPED)
        if not (request.get("if-range") or '"').startswith('"'):
            dropped.add("range")
        headers = tuple(
            (name, value)
            for name, value in request.headers
            if name.lower() not in dropped and not name.lower().startswith("x-amz-")
        )
        return replace(request, target=target, headers=headers)

    def _find(self, raw_path: str) -> str | None:
        """Return the path of the file in the bucket, still encoded."""
        if _LONE_PERCENT.search(raw_path):
            return None
        try:
            path = unquote(raw_path, errors="strict")
        except UnicodeDecodeError:
            return None
        file = self.bucket.find(path)
        # S3 would take a plus for a space. Of what is encoded, `encodeURIComponent` leaves these as they are.
        return raw_path.replace("+", "%2B") if file == path else file and quote(file, safe="/!'()*~")

    async def serve(self, http: HttpConnection, request: GatewayRequest) -> bool:
        """Answer a rewritten request; return whether the bucket has what it asks for."""
        key = unquote(request.path)[1:]
        found = self.bucket.objects.get(key)
        if found is None:
            return False
        body = (self.folder / key).read_bytes()
        tag = f'"{found.hash}"'
        if tag in re.findall(r'"[^"]*"', request.get("if-none-match") or ""):
            await http.start(304, _describe(found))
            await http.end()
            return True
        part = _find_part(request, len(body), tag)
        if part is None:
            await http.respond(200, _describe(found), body)
        elif part.start >= part.stop:
            fields = [("content-type", "application/xml"), ("content-range", f"bytes */{len(body)}")]
            await http.respond(416, fields, _ERROR.format("InvalidRange").encode())
        else:
            place = f"bytes {part.start}-{part.stop - 1}/{len(body)}"
            await http.respond(206, [*_describe(found), ("content-range", place)], body[part.start : part.stop])
        return True


def _describe(found: PublicObject) -> list[tuple[str, str]]:
    return [
        ("content-type", found.kind),
        ("cache-control", found.cache),
        ("etag", f'"{found.hash}"'),
        ("accept-ranges", "bytes"),
        ("server", "AmazonS3"),
    ]


def _find_part(request: GatewayRequest, length: int, tag: str) -> range | None:
    """Return the part that is asked for, empty if there is none; `None` for the whole."""
    wanted = _RANGE.fullmatch(request.get("range") or "")
    if wanted is None or (request.get("if-range") or tag) != tag:
        return None
    first, last, final = wanted.groups()
    if final is not None:
        return range(max(0, length - int(final)), length)
    return range(int(first), min(length, int(last) + 1 if last else length))
