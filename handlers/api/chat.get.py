"""Where the page connects its socket: most often the path, and the whole URL where sockets have another host."""

from nitro_py import Event, define_handler, websocket_url


@define_handler
async def handler(event: Event) -> dict[str, str]:
    return {"url": websocket_url("/api/ws/chat")}
