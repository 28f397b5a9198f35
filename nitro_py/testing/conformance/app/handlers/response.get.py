"""A route that sets status and header fields beside the value that it returns."""

from __future__ import annotations

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, bool]:
    event.response.status = 201
    event.response.headers["X-Word"] = "set"
    event.response.headers.append("set-cookie", "a=1")
    event.response.headers.append("set-cookie", "b=2")
    return {"created": True}
