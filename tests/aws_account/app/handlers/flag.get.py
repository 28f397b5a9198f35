"""How often a flag was set; 404 before that."""

from nitro_py import Event, HTTPError, define_handler, storage


@define_handler
async def handler(event: Event) -> dict[str, object]:
    count = await storage().get(event.query["name"])
    if count is None:
        raise HTTPError(404)
    return {"count": count}
