"""A route that streams chunks: the second once the journal says so."""

from __future__ import annotations

from collections.abc import AsyncIterator

from nitro_py import Event, define_handler

from ..._journal import note, reach


@define_handler
async def handler(event: Event) -> AsyncIterator[str]:
    key = event.params["key"]
    try:
        yield "first "
        await reach(key, "go on")
        yield "second"
    finally:
        note(key, "ended")
