"""A route that calls a storage as it is told."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, JsonValue

from nitro_py import Event, StorageError, define_handler, read_validated_body, storage


class Call(BaseModel):
    method: str
    args: list[JsonValue] = []
    options: dict[str, JsonValue] = {}


class Order(BaseModel):
    name: str = "default"
    calls: list[Call]
    at_once: bool = False


@define_handler
async def handler(event: Event) -> list[object]:
    order = await read_validated_body(event, Order)
    calls = [answer(order.name, call) for call in order.calls]
    if order.at_once:
        return list(await asyncio.gather(*calls))
    return [await call for call in calls]


async def answer(name: str, call: Call) -> object:
    try:
        found = getattr(storage(name), call.method)(*map(read, call.args), **call.options)
        if call.method == "keys":
            return [key async for key in found]
        return write(await found)
    except (StorageError, TypeError, ValueError) as error:
        return {"error": type(error).__name__}


def read(value: JsonValue) -> object:
    if isinstance(value, dict) and [*value] == ["hex"]:
        return bytes.fromhex(str(value["hex"]))
    return value


def write(value: object) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return value._asdict() if hasattr(value, "_asdict") else value
