"""A route that serves `GET`, and `HEAD` with it."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, object]:
    return {"file": "rules/methods/some.get.py", "params": dict(event.params)}
