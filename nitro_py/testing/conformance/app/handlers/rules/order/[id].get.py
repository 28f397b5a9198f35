"""A parameter beside a static path."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, object]:
    return {"file": "rules/order/[id].get.py", "params": dict(event.params)}
