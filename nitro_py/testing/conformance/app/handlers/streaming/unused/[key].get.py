"""Makes a stream and answers with something else."""

from __future__ import annotations

from nitro_py import Event, HTTPError, create_event_stream, define_handler

from ..._journal import note


@define_handler(streams=True)
async def handler(event: Event) -> str:
    stream = create_event_stream(event)
    stream.on_closed(lambda: note(event.params["key"], "closed"))
    await stream.push("never sent")
    if "fail" in event.query:
        raise HTTPError(409)
    return "something else"
