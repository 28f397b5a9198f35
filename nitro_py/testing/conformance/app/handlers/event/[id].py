"""A route that tells all that an event knows."""

from __future__ import annotations

from copy import deepcopy

from starlette.requests import Request as StarletteRequest

from nitro_py import Event, define_event_handler


@define_event_handler
async def handler(event: Event) -> dict[str, object]:
    request = event.request
    return {
        "body": (await event.body()).decode(),
        "context": deepcopy(event.context),
        "cookies": event.cookies,
        "header": event.headers.get("X-Word"),
        "headers": event.headers.getlist("x-many"),
        "method": event.method,
        "params": event.params,
        "path": event.path,
        "queries": event.query.getlist("many"),
        "query": dict(event.query),
        "remote_address": event.remote_address,
        "request": [isinstance(request, StarletteRequest), request.method, request.query_params["word"]],
        "same_request": event.request is request,
        "url": event.url,
    }
