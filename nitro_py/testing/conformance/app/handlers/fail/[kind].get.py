"""Fails in the way that the path names."""

from __future__ import annotations

from nitro_py import Event, HTTPError, define_handler


@define_handler
async def handler(event: Event) -> object:
    match event.params["kind"]:
        case "error":
            raise HTTPError(418, "short and stout", data={"pot": "tea"}, headers={"x-pot": "tea"})
        case "phrase":
            raise HTTPError(404)
        case "unwritable":
            return {"it": object()}
        case _:
            raise RuntimeError("secret detail")
