"""A route that returns a value of the kind that the path names."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel
from starlette.responses import HTMLResponse

from nitro_py import Event, HTTPError, Response, define_handler

from .._values import HALF, RICH


@dataclass
class Point:
    x: int
    y: float


class Note(BaseModel):
    text: str
    tags: list[str] = []


VALUES: dict[str, object] = {
    "none": None,
    "str": "text é",
    "empty": "",
    "bytes": b"\x00\xff",
    "dict": {"a": [1, None]},
    "list": [1, "two"],
    "dataclass": Point(1, 2.5),
    "model": Note(text="hi", tags=["a"]),
    "int": 7,
    "float": 1.5,
    "true": True,
    "false": False,
    "response": Response("<b>light</b>", 202, {"content-type": "text/html"}),
}


VALUES["rich"] = RICH
VALUES["half"] = f"cut {HALF}"


@define_handler
def handler(event: Event) -> object:
    kind = event.params["kind"]
    if kind == "starlette":
        return HTMLResponse("<b>starlette</b>", 203, {"x-own": "yes"})
    if kind not in VALUES:
        raise HTTPError(404)
    return VALUES[kind]
