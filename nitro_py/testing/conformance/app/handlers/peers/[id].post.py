"""A route that sends the body to a peer."""

from __future__ import annotations

from nitro_py import Event, HTTPError, define_handler, get_peer


@define_handler
async def handler(event: Event) -> None:
    peer = await get_peer(event.params["id"])
    if peer is None:
        raise HTTPError(404)
    await peer.send((await event.body()).decode())
