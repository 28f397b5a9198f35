"""Event streams as sse-starlette's documentation writes them: each stream has a queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

queues: set[asyncio.Queue[str]] = set()


async def listen() -> AsyncIterator[dict[str, str]]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues.add(queue)
    try:
        yield {"data": "ready"}
        while True:
            yield {"data": await queue.get()}
    finally:
        queues.discard(queue)


async def events(request: Request) -> EventSourceResponse:
    # No server sends comments here, so that only what is published is sent.
    return EventSourceResponse(listen(), ping=3600)


async def publish(request: Request) -> Response:
    text = (await request.body()).decode()
    for queue in queues:
        queue.put_nowait(text)
    return Response(status_code=204)


app = Starlette(routes=[Route("/events", events), Route("/publish", publish, methods=["POST"])])
