"""A route that answers, and goes on working."""

from __future__ import annotations

import asyncio

from nitro_py import Event, define_handler

from .._journal import note


@define_handler
async def handler(event: Event) -> dict[str, bool]:
    key = event.params["key"]

    async def work() -> None:
        await asyncio.sleep(0.3)
        note(key, "worked")

    event.wait_until(work())
    note(key, "answered")
    return {"accepted": True}
