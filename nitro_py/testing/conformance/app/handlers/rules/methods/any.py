"""A route that serves every method."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, str]:
    return {"method": event.method}
