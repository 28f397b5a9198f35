"""A route that publishes as often as it is told."""

from __future__ import annotations

from pydantic import BaseModel, JsonValue

from nitro_py import Event, define_handler, publish, read_validated_body


class Publication(BaseModel):
    topic: str
    data: JsonValue = None
    size: int | None = None
    times: int = 1
    namespace: str | None = None


@define_handler
async def handler(event: Event) -> None:
    order = await read_validated_body(event, Publication)
    for number in range(order.times):
        data = order.data if order.size is None else f"{number} ".ljust(order.size, "x")
        await publish(order.topic, data, namespace=order.namespace)
