"""Sets a flag."""

from nitro_py import Event, define_handler, storage


@define_handler
async def handler(event: Event) -> dict[str, int]:
    return {"count": await storage().increment(event.query["name"])}
