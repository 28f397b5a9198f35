"""A route that takes the rest of the path, named."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, object]:
    return {"file": "rules/files/[...slug].get.py", "params": dict(event.params)}
