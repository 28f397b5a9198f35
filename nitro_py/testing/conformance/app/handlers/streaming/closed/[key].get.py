"""Note in the journal when the stream has ended, by either side."""

from __future__ import annotations

from nitro_py import Event, EventStream, create_event_stream, define_handler

from ..._journal import note, reach


@define_handler
async def handler(event: Event) -> EventStream:
    key = event.params["key"]
    stream = create_event_stream(event)

    async def note_later() -> None:
        note(key, "async callback")

    stream.on_closed(lambda: note(key, "callback"))
    stream.on_closed(note_later)

    async def work() -> None:
        await stream.push("open")
        await reach(key, "close" if "server" in event.query else "callback")
        await stream.close()
        await stream.close()
        await stream.push("no-op")
        stream.on_closed(lambda: note(key, "late callback"))
        note(key, "done")

    event.wait_until(work())
    return stream
