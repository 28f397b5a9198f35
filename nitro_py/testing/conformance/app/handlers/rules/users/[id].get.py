"""A route that has a parameter for one segment, and imports a neighbour and a package of the project."""

from __future__ import annotations

from lexicon import WORD  # type: ignore[import-not-found]

from nitro_py import Event, define_handler

from ._neighbour import describe


@define_handler
async def handler(event: Event) -> dict[str, str]:
    return {"id": event.params["id"], "neighbour": describe(event), "package": WORD}
