"""Middleware that runs second: answers in the route's place where the request asks for it."""

from __future__ import annotations

from nitro_py import Event, HTTPError, Next, Response, define_middleware


@define_middleware
async def guard(event: Event, next: Next) -> object:
    event.context["trace"].append("guard before")
    match event.headers.get("x-guard"):
        case "answer":
            return Response({"refused": "by middleware"}, status=401, headers={"x-refused": "yes"})
        case "error":
            raise HTTPError(429, "too many")
        case "value":
            return "a plain value"
        case "silent":
            # Without a returned value and without `next`, the request goes on.
            return None
    answer = await next()
    event.context["trace"].append("guard after")
    return answer
