"""A route that holds messages back and lets them go, as the journal says."""

from __future__ import annotations

from nitro_py import Event, EventStream, create_event_stream, define_handler

from ..._journal import note, reach


@define_handler(streams=True)
async def handler(event: Event) -> EventStream:
    key = event.params["key"]
    stream = create_event_stream(event)

    async def work() -> None:
        await stream.push("at once")
        stream.pause()
        await stream.push("flushed")
        note(key, "paused")
        await reach(key, "flush")
        await stream.flush()
        await stream.push("resumed")
        note(key, "flushed")
        await reach(key, "resume")
        await stream.resume()
        await stream.push("live")

    event.wait_until(work())
    return stream
