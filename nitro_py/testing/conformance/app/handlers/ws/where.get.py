"""Where a page connects a socket."""

from __future__ import annotations

from nitro_py import Event, define_handler, websocket_url


@define_handler
async def handler(event: Event) -> str:
    return websocket_url("/ws/echo?a=1")
