"""A route that serves in development only."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, object]:
    return {"file": "rules/mode.get.dev.py", "params": dict(event.params)}
