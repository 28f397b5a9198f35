"""Reads what a client has sent, in the way that the path names."""

from __future__ import annotations

# What is imported ships: Starlette needs it for forms in parts.
import python_multipart  # noqa: F401
from pydantic import BaseModel

from nitro_py import Event, define_handler, read_validated_body


class Form(BaseModel):
    name: str


@define_handler
async def handler(event: Event) -> object:
    match event.params["kind"]:
        case "cookies":
            return [event.cookies, event.request.cookies]
        case "json":
            return {"read": await event.request.json()}
        case "form":
            return dict(await event.request.form())
        case "model":
            return await read_validated_body(event, Form)
        case "query":
            return event.query["name"]
        case "request_query":
            return [event.query["name"], event.request.query_params["name"]]
        case "parameter":
            return event.params["name"]
        case "own":
            return int("no number")
        case _:
            return {}["own"]
