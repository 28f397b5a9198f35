"""Files of a folder with validators that are given, where Starlette makes them of a file's time and size.

The time of a file in a package or an image is the same for every version.
"""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from nitro_py.event import Receive, Scope, Send

# For a file whose next version will have another name, and for all others, which are asked for again each time.
IMMUTABLE: Final = "public, max-age=31536000, immutable"
REVALIDATED: Final = "no-cache"
# Where bundlers write files with short hashes, in upper and lower case, right before the ending.
_BUILT = re.compile(
    r".*/(?:assets|_astro|immutable)/(?:.*/)?[^/]+[-.]([\w-]{8})"
    r"\.(?:avif|css|gif|ico|jpe?g|js|map|mjs|png|svg|wasm|webp|woff2?)"
)
_HEXADECIMAL = re.compile(r"[-._]([0-9a-f]{8,64})(?=[-._])")
# Changes between kinds of characters, fewer of which words, dates and version numbers have.
_MIXED_HEXADECIMAL = 3
_MIXED = 4
_KEY = "nitro.etag"
# Fields that compare the time of a file.
_TIMED = frozenset({b"if-modified-since", b"if-unmodified-since", b"if-range"})


class ValidatedFiles(StaticFiles):
    """The files of a folder.

    Args:
        folder: The folder.
        changing: Whether files may change while they are served, so that no name stands for a content.
    """

    def __init__(self, folder: Path, *, changing: bool = False) -> None:
        super().__init__(directory=folder)
        self._changing = changing

    async def serve(self, scope: Scope, receive: Receive, send: Send, tag: str) -> None:
        """Send a file, a part of it, or that it has not changed.

        Args:
            scope: The ASGI scope, whose path is the file's.
            receive: The ASGI receive callable.
            send: The ASGI send callable.
            tag: The ETag, in quotes.
        """
        dropped = set(_TIMED)
        # A part of another version is of no use to the client, who gets the whole file then.
        if any(name == b"if-range" and value != tag.encode() for name, value in scope["headers"]):
            dropped.add(b"range")
        headers = [pair for pair in scope["headers"] if pair[0] not in dropped]
        await self({**scope, "headers": headers, _KEY: tag}, receive, send)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the response for a file."""
        kept = IMMUTABLE if is_hashed(scope["path"]) and not self._changing else REVALIDATED
        fields = {"etag": scope[_KEY], "cache-control": kept}
        response = FileResponse(full_path, status_code, fields, stat_result=stat_result)
        del response.headers["last-modified"]
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response


def is_hashed(path: str) -> bool:
    """Return whether a file's name carries a hash of its content, as bundlers write it.

    What is taken for one must be one, because browsers never ask for such a file again: dates, words and
    version numbers are not.

    Example:
        >>> is_hashed("/app.3f9a0c1be2.js"), is_hashed("/report-20240131.js")
        (True, False)
    """
    name = path.rpartition("/")[2]
    if not name.endswith((".html", ".htm")):
        for found in _HEXADECIMAL.finditer(name):
            if _count_changes(found[1]) >= _MIXED_HEXADECIMAL:
                return True
    built = _BUILT.fullmatch(path)
    return built is not None and _count_changes(built[1]) >= _MIXED


def _count_changes(text: str) -> int:
    kinds = [(one.isdigit(), one.isupper()) for one in text]
    return sum(one != other for one, other in pairwise(kinds))
