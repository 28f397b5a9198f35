"""A route that lies in folders that add nothing to the path."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, object]:
    return {"file": "rules/(group)/(inner)/grouped.get.py", "params": dict(event.params)}
