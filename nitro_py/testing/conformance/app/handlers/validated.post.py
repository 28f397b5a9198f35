"""A route that takes a validated body."""

from __future__ import annotations

from pydantic import BaseModel

from nitro_py import Event, define_handler, read_validated_body


class Order(BaseModel):
    name: str
    amount: int


@define_handler
async def handler(event: Event) -> Order:
    return await read_validated_body(event, Order)
