"""The demo's page: a chat over WebSocket and a clock over server-sent events."""

from pathlib import Path

from nitro_py import Event, Response, define_handler

PAGE = (Path(__file__).parent / "_index.html").read_text(encoding="utf-8")


@define_handler
async def handler(event: Event) -> Response:
    return Response(PAGE, headers={"content-type": "text/html; charset=utf-8"})
