"""Which answers get the live-reload script, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from nitro_py.dev.script_injector import ScriptInjector

SCRIPT = b"<script></script>"
PAGE = b"<body>a</body>"
Field = tuple[bytes, bytes]


async def ask(
    pieces: list[bytes],
    fields: list[Field],
    *,
    status: int = 200,
    method: str = "GET",
    asked: Sequence[Field] = (),
) -> tuple[dict[bytes, bytes], list[bytes], list[Field]]:
    """Send an answer through the front, and return its header, its pieces, and the header that the app saw."""
    sent: list[Any] = []
    seen: list[Field] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await send({"type": "http.response.start", "status": status, "headers": fields})
        for number, piece in enumerate(pieces, start=1):
            more = number < len(pieces)
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    front = ScriptInjector(app, SCRIPT, None)
    await front({"type": "http", "method": method, "path": "/", "headers": list(asked)}, receive, send)
    assert sent[0]["status"] == status
    assert [message.get("more_body", False) for message in sent[1:]] == [True] * (len(pieces) - 1) + [False]
    return dict(sent[0]["headers"]), [message["body"] for message in sent[1:]], seen


HTML = (b"content-type", b"text/html; charset=utf-8")


@pytest.mark.anyio
async def test_page_gets_the_script_and_its_new_length() -> None:
    fields = [HTML, (b"Content-Length", b"14"), (b"etag", b"x"), (b"x-own", b"1")]
    header, pieces, _ = await ask([PAGE], fields)
    assert pieces == [b"<body>a" + SCRIPT + b"</body>"]
    assert header == {
        b"content-type": HTML[1],
        b"x-own": b"1",
        b"cache-control": b"no-store",
        b"content-length": str(len(pieces[0])).encode(),
    }


@pytest.mark.anyio
async def test_page_in_pieces_is_not_held_back() -> None:
    header, pieces, _ = await ask([b"<body>", b"a", b"</body>"], [HTML, (b"content-length", b"14")])
    assert pieces == [b"<body>", b"a", SCRIPT + b"</body>"]
    assert b"content-length" not in header


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "status", "method", "asked"),
    [
        ([(b"content-type", b"application/json")], 200, "GET", []),
        ([HTML, (b"content-encoding", b"gzip")], 200, "GET", []),
        ([HTML], 206, "GET", []),
        ([HTML], 304, "GET", []),
        ([HTML], 200, "POST", []),
        ([HTML], 200, "HEAD", []),
        ([HTML], 200, "GET", [(b"sec-fetch-dest", b"empty")]),
        ([], 200, "GET", []),
    ],
)
async def test_everything_else_stays_as_it_is(
    fields: list[Field], status: int, method: str, asked: list[Field]
) -> None:
    header, pieces, _ = await ask([PAGE], fields, status=status, method=method, asked=asked)
    assert (header, pieces) == (dict(fields), [PAGE])


@pytest.mark.anyio
async def test_browser_never_keeps_a_page_of_an_earlier_run() -> None:
    asked = [(b"if-none-match", b"x"), (b"if-modified-since", b"y"), (b"accept", b"text/html")]
    _, _, seen = await ask([PAGE], [HTML], asked=asked)
    assert seen == [(b"accept", b"text/html")]
