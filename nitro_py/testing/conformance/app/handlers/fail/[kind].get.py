"""Fails in the way that the path names."""

from __future__ import annotations

from nitro_py import Event, HTTPError, Response, define_handler


@define_handler
async def handler(event: Event) -> object:
    match event.params["kind"]:
        case "error":
            event.response.headers.update({"content-length": "1", "content-type": "text/css", "x-kept": "yes"})
            raise HTTPError(418, "short and stout", data={"pot": "tea"}, headers={"x-pot": "tea"})
        case "phrase":
            raise HTTPError(404)
        case "unwritable":
            return {"it": object()}
        case "split":
            event.response.headers["x-pot"] = "tea\r\nx-smuggled: yes"
        case "length":
            event.response.headers["content-length"] = "1"
            return "longer"
        case "chunks":
            return Response("text", headers={"transfer-encoding": "chunked"})
        case "status":
            return Response("text", 99)
        case "exit":
            raise SystemExit(2)
        case _:
            raise RuntimeError("secret detail")
