"""Middleware that runs first, and tells in what order things ran."""

from __future__ import annotations

from nitro_py import Event, Next, define_middleware


@define_middleware
async def first(event: Event, next: Next) -> object:
    trace = event.context["trace"] = ["first before"]
    answer = await next()
    trace.append("first after")
    event.response.headers["x-trace"] = ", ".join(trace)
    return answer
