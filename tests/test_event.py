"""What a request consists of: its URL, and its body by whichever way it is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from nitro_py.errors import HTTPError
from nitro_py.event import ASGIMessage, Event
from nitro_py.headers import Headers

pytestmark = pytest.mark.anyio

MAX_BODY = 100


def make_event(*chunks: bytes, host: str = "a.test") -> Event:
    """Make a request whose body comes in chunks, and does not say how long it is."""
    left = list(chunks)

    async def receive() -> ASGIMessage:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "server": ("10.0.0.1", 80),
        "headers": Headers({"host": host}).to_raw(),
    }
    return Event(scope, receive, params={}, wait_until=lambda work: None, max_body=MAX_BODY)


async def test_form_that_is_none_is_the_clients_error() -> None:
    pytest.importorskip("python_multipart")
    event = make_event(b"--")
    event.scope["headers"].append((b"content-type", b"multipart/form-data"))
    with pytest.raises(HTTPError) as caught:
        await event.request.form()
    assert caught.value.status == 400


async def test_form_is_closed_with_its_block() -> None:
    event = make_event("name=café&b=1".encode())
    event.scope["headers"].append((b"content-type", b"application/x-www-form-urlencoded; charset=utf-8"))
    async with event.request.form() as form:
        assert dict(form) == {"name": "café", "b": "1"}


async def test_query_may_hold_utf8_as_it_is() -> None:
    event = make_event()
    event.scope.update(query_string="a=é&b=%C3%A9".encode(), raw_path="/ö".encode(), path="/ö")
    assert dict(event.query) == dict(event.request.query_params) == {"a": "é", "b": "é"}
    assert event.url == "http://a.test/%C3%B6?a=%C3%A9&b=%C3%A9"


async def read_itself(event: Event) -> bytes:
    """Read as most handlers do."""
    return await event.body()


async def read_by_starlette(event: Event) -> bytes:
    """Read as handlers do that know Starlette."""
    return await event.request.body()


async def read_after_a_look(event: Event) -> bytes:
    """Read after other code, such as middleware, has read Starlette's request."""
    assert event.request.method == "POST"
    return await event.body()


async def read_stream(event: Event) -> bytes:
    """Read piece by piece."""
    return b"".join([chunk async for chunk in event.request.stream()])


async def read_twice(event: Event) -> bytes:
    """Read itself, and lets Starlette read it again."""
    body = await event.body()
    assert await event.request.body() == body
    return body


@pytest.mark.parametrize("read", [read_itself, read_by_starlette, read_after_a_look, read_stream, read_twice])
async def test_body_has_a_limit_however_it_is_read(read: Callable[[Event], Awaitable[bytes]]) -> None:
    whole = b"a" * MAX_BODY
    assert await read(make_event(whole[:40], whole[40:])) == whole
    with pytest.raises(HTTPError) as caught:
        await read(make_event(whole, b"b"))
    assert caught.value.status == 413


@pytest.mark.parametrize("host", ["a.test/other#", "a.test?", "a.test#", "me@a.test", "a.test\\other", "a test"])
async def test_host_that_is_none_does_not_change_the_path(host: str) -> None:
    assert make_event(host=host).url == "http://10.0.0.1:80/"
    assert make_event(host="a.test:8000").url == "http://a.test:8000/"
