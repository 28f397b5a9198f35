"""A route that takes a validated query."""

from __future__ import annotations

from pydantic import BaseModel

from nitro_py import Event, define_handler, get_validated_query


class Page(BaseModel):
    number: int
    tags: list[str] = []


@define_handler
async def handler(event: Event) -> Page:
    return await get_validated_query(event, Page)
