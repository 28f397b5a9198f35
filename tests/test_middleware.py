"""The chain of middleware."""

from __future__ import annotations

import pytest

from nitro_py.errors import HTTPError
from nitro_py.event import Event
from nitro_py.headers import Headers
from nitro_py.middleware import Next, define_middleware, run_middleware


async def receive() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


@pytest.fixture
def event() -> Event:
    """Make a request."""
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": Headers().to_raw()}
    return Event(scope, receive, params={}, wait_until=lambda work: None, max_body=100)


@pytest.fixture
def calls() -> list[str]:
    """Collect what ran."""
    return []


@pytest.mark.anyio
async def test_each_wraps_the_next(event: Event, calls: list[str]) -> None:
    def wrap(name: str) -> object:
        @define_middleware
        async def middleware(event: Event, next: Next) -> object:
            calls.append(f"{name} in")
            answer = await next()
            calls.append(f"{name} out")
            return f"{name}({answer})"

        return middleware

    async def final() -> str:
        calls.append("handler")
        return "answer"

    chain = (wrap("a"), wrap("b"))
    assert await run_middleware(chain, event, final) == "a(b(answer))"  # type: ignore[arg-type]
    assert calls == ["a in", "b in", "handler", "b out", "a out"]


@pytest.mark.anyio
async def test_without_answer_the_next_one_answers(event: Event, calls: list[str]) -> None:
    @define_middleware
    async def silent(event: Event, next: Next) -> None:
        calls.append("silent")

    @define_middleware
    async def calls_and_is_silent(event: Event, next: Next) -> None:
        await next()
        calls.append("after")

    async def final() -> str:
        calls.append("handler")
        return "answer"

    assert await run_middleware((silent, calls_and_is_silent), event, final) == "answer"
    assert calls == ["silent", "handler", "after"]


@pytest.mark.anyio
async def test_answer_keeps_the_rest_from_running(event: Event, calls: list[str]) -> None:
    @define_middleware
    async def guard(event: Event, next: Next) -> str:
        return "no"

    @define_middleware
    async def never(event: Event, next: Next) -> None:
        calls.append("never")

    async def final() -> None:
        calls.append("handler")

    assert await run_middleware((guard, never), event, final) == "no"
    assert calls == []


@pytest.mark.anyio
async def test_handler_runs_once_however_often_it_is_asked_for(event: Event, calls: list[str]) -> None:
    @define_middleware
    async def twice(event: Event, next: Next) -> object:
        return [await next(), await next()]

    async def final() -> int:
        calls.append("handler")
        return len(calls)

    assert await run_middleware((twice,), event, final) == [1, 1]


@pytest.mark.anyio
async def test_error_passes_through_and_can_be_caught(event: Event) -> None:
    @define_middleware
    async def catch(event: Event, next: Next) -> object:
        try:
            return await next()
        except HTTPError as error:
            return error.status

    @define_middleware
    async def through(event: Event, next: Next) -> object:
        return await next()

    async def final() -> None:
        raise HTTPError(418)

    assert await run_middleware((catch, through), event, final) == 418
    with pytest.raises(HTTPError):
        await run_middleware((through,), event, final)


def test_what_is_decorated_is_a_function() -> None:
    with pytest.raises(TypeError, match="`define_middleware` takes a function, got int"):
        define_middleware(1)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_next_takes_no_arguments(event: Event) -> None:
    @define_middleware
    async def middleware(event: Event, next: Next) -> object:
        return await next(event)  # type: ignore[call-arg]

    async def final() -> str:
        return "answer"

    with pytest.raises(TypeError, match=r"Call `next\(\)` without arguments"):
        await run_middleware((middleware,), event, final)
