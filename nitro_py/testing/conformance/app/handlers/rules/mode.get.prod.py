"""A route that serves in production only."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, object]:
    return {"file": "rules/mode.get.prod.py", "params": dict(event.params)}
