"""A route with a parameter."""

from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, str]:
    return {"id": event.params["id"]}
