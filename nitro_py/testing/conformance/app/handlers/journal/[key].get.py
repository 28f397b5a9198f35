"""A route that lets the tests read a journal."""

from __future__ import annotations

from nitro_py import Event, define_handler

from .._journal import read


@define_handler
def handler(event: Event) -> list[str]:
    return read(event.params["key"])
