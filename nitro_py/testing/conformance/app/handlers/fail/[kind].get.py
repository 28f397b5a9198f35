"""A route that fails in the way that the path names."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

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
        case "closing":
            raise GeneratorExit
        case "data":
            raise HTTPError(400, data=ValueError())
        case "nan":
            raise HTTPError(400, data={"x": float("nan")})
        case "circle":
            circle: list[object] = []
            circle.append(circle)
            raise HTTPError(400, data=circle)
        case "field":
            raise HTTPError(400, headers={"x-pot": "tea\r\nx-smuggled: yes"})
        case "wide_field":
            raise HTTPError(400, headers={"x-pot": "\N{TEACUP WITHOUT HANDLE}"})
        case "low":
            raise HTTPError(302, "no error")
        case "high":
            raise HTTPError(600, "no status")
        case "early":
            return PlainTextResponse("never final", 101)
        case "pair":
            return {"made": True}, 201
        case "triple":
            return "made", 201, {"x-pot": "tea"}
        case "unnamed":
            raise HTTPError(499)
        case "own":
            return Response({"mine": True}, 404)
        case "returned":
            return HTTPError(410, "gone", data=[1])
        case "starlette":
            raise HTTPException(402, "pay first", {"x-pot": "tea"})
        case "starlette_data":
            raise HTTPException(409, [{"loc": "x"}])  # type: ignore[arg-type]  # As FastAPI allows.
        case "staged":
            event.response.headers.update(
                {"cache-control": "max-age=60", "etag": '"1"', "last-modified": "now", "x-kept": "yes"}
            )
            event.response.headers.append("set-cookie", "a=1")
            raise RuntimeError("secret detail")
        case _:
            raise RuntimeError("secret detail")
