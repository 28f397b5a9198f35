"""A route that says nothing but heartbeats."""

from __future__ import annotations

from nitro_py import Event, EventStream, create_event_stream, define_handler


@define_handler
async def handler(event: Event) -> EventStream:
    return create_event_stream(event, heartbeat=0.05)
