"""Event streams on Starlette without an extension: each stream has a queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

queues: set[asyncio.Queue[str]] = set()


async def listen() -> AsyncIterator[str]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    queues.add(queue)
    try:
        yield "data: ready\n\n"
        while True:
            yield f"data: {await queue.get()}\n\n"
    finally:
        queues.discard(queue)


async def events(request: Request) -> StreamingResponse:
    return StreamingResponse(listen(), media_type="text/event-stream")


async def publish(request: Request) -> Response:
    text = (await request.body()).decode()
    for queue in queues:
        queue.put_nowait(text)
    return Response(status_code=204)


app = Starlette(routes=[Route("/events", events), Route("/publish", publish, methods=["POST"])])
