"""A route with a validated body."""

from pydantic import BaseModel

from nitro_py import Event, define_handler, read_validated_body


class Echo(BaseModel):
    text: str


@define_handler
async def handler(event: Event) -> Echo:
    return await read_validated_body(event, Echo)
