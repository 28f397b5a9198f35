"""A route that serves one method."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, object]:
    return {"file": "rules/methods/each.patch.py", "params": dict(event.params)}
