"""A route that serves its folder's own path."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> str:
    return "index"
