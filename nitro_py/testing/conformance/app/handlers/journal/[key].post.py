"""A route that lets the tests write into a journal, which hooks may wait for."""

from __future__ import annotations

from nitro_py import Event, define_handler

from .._journal import note


@define_handler
async def handler(event: Event) -> None:
    note(event.params["key"], (await event.body()).decode())
