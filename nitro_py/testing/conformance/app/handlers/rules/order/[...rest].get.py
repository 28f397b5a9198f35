"""A catch-all beside a parameter."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, object]:
    return {"file": "rules/order/[...rest].get.py", "params": dict(event.params)}
