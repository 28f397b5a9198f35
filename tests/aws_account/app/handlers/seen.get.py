"""What a request looks like to a handler."""

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, str]:
    return {"address": event.remote_address or "", "host": event.headers["host"]}
