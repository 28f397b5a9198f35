"""A route that serves `PUT`."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, object]:
    return {"file": "rules/methods/some.put.py", "params": dict(event.params)}
