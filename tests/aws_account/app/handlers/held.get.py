"""A stream whose second piece waits until the client has the first, and has set a flag."""

import asyncio
from collections.abc import AsyncIterator

from nitro_py import Event, define_handler, storage

LOOKS = 100


@define_handler
async def handler(event: Event) -> AsyncIterator[str]:
    yield "first\n"
    for _ in range(LOOKS):
        if await storage().get(event.query["name"]) is not None:
            yield "second\n"
            return
        await asyncio.sleep(0.2)
    yield "nothing came\n"
