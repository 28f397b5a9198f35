"""A route that tells which plugins have started in this process, each time they did."""

from __future__ import annotations

from nitro_py import Event, define_handler

from ._starts import STARTS


@define_handler
async def handler(event: Event) -> list[str]:
    return STARTS
