"""A clock: one event at once, then one every second."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from nitro_py import Event, EventStream, create_event_stream, define_handler


async def tick() -> AsyncIterator[str]:
    while True:
        yield f"Message @ {datetime.now():%H:%M:%S}"
        await asyncio.sleep(1)


@define_handler
async def handler(event: Event) -> EventStream:
    return create_event_stream(event, tick())
