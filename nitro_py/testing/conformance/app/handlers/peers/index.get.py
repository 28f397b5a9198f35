"""A route that lists the connected peers."""

from __future__ import annotations

from nitro_py import Event, define_handler, peers


@define_handler
async def handler(event: Event) -> list[str]:
    return [peer.id async for peer in peers(event.query.get("namespace"))]
