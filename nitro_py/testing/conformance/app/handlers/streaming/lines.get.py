"""A route that streams the chunks of a plain iterator."""

from __future__ import annotations

from collections.abc import Iterator

from nitro_py import Event, define_handler


@define_handler
def handler(event: Event) -> Iterator[bytes]:
    event.response.headers["content-type"] = "application/x-lines"
    yield from (f"{number}\n".encode() for number in range(3))
