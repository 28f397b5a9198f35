"""The pages that browsers get for errors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from nitro_py.event import Event
from nitro_py.response import Response
from nitro_py.runtime.asgi.public_files import ERROR_FILES

_WEIGHT = re.compile(r";q=([01](?:\.[0-9]*)?)")
HTML: Final = "text/html; charset=utf-8"


class ErrorPages(Protocol):
    """The pages that browsers get in the place of an error's JSON."""

    def find(self, event: Event, error: Exception, answer: Response) -> Response | None:
        """Return the page for an error, which MUST have the answer's status; `None` sends the answer itself."""


class PublicErrorPages:
    """The files `404.html` and `500.html` of `public/`.

    Args:
        folder: The folder of the public files.
        paths: Their paths below it, each with a leading slash.
    """

    def __init__(self, folder: Path, paths: Iterable[str]) -> None:
        known = frozenset(paths)
        # Read at once: while an error is answered, nothing may fail.
        self._pages = {
            status: (folder / path[1:]).read_bytes() for status, path in ERROR_FILES.items() if path in known
        }

    def find(self, event: Event, error: Exception, answer: Response) -> Response | None:
        """Return the page for an error, if there is one and the client prefers HTML."""
        page = self._pages.get(answer.status)
        if page is None or not prefers_html(event.headers.get("accept", "")):
            return None
        # Another client may get JSON from the same URL.
        fields = {**answer.headers, "content-type": HTML, "cache-control": "no-store"}
        return Response(page, answer.status, fields)


def prefers_html(accept: str) -> bool:
    """Return whether a client asks for HTML, and likes JSON no better (RFC 9110, section 12.5.1).

    Example:
        >>> prefers_html("text/html,*/*;q=0.8"), prefers_html("*/*")
        (True, False)
    """
    weights = {"text/html": 0.0, "application/json": 0.0}
    for item in accept.lower().replace(" ", "").split(","):
        kind, _, parameters = item.partition(";")
        if kind in weights:
            weight = _WEIGHT.search(f";{parameters}")
            weights[kind] = 1.0 if weight is None else float(weight[1])
    return weights["text/html"] > 0 and weights["text/html"] >= weights["application/json"]
