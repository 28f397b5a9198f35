"""A static path below a parameter."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, object]:
    return {"file": "rules/order/[id]/leaf.get.py", "params": dict(event.params)}
