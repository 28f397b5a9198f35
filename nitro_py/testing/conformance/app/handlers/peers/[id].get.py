"""A route that tells what waits to be sent to a peer."""

from __future__ import annotations

from nitro_py import Event, HTTPError, define_handler, get_peer


@define_handler
async def handler(event: Event) -> dict[str, int]:
    peer = await get_peer(event.params["id"])
    if peer is None:
        raise HTTPError(404)
    return {"buffered_amount": peer.buffered_amount}
