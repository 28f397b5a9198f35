"""HTTP: the event, returned values, errors, validation, mounted applications."""

from __future__ import annotations

from typing import Any

import pytest

from nitro_py.testing.conformance.suite.steps import make_key, reach
from nitro_py.testing.conformance.target import Target, requires

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


@pytest.mark.anyio
class Answers:
    """Tests of the contract's section "HTTP"."""

    async def test_event_tells_all_about_the_request(self, target: Target) -> None:
        """Check H1 of the contract."""
        headers = {
            "x-word": "hello",
            "cookie": "a=1; b=two",
            "host": "app.example",
        }
        path = "/event/a%2Fb?word=x%20y&many=1&many=2"
        seen = (await target.request("PUT", path, content="the body", headers=headers)).json()
        assert seen.pop("remote_address") is not None
        assert seen == {
            "body": "the body",
            "context": {"trace": ["first before", "guard before"]},
            "cookies": {"a": "1", "b": "two"},
            "header": "hello",
            "headers": [],
            "method": "PUT",
            "params": {"id": "a/b"},
            "path": "/event/a/b",
            "queries": ["1", "2"],
            "query": {"word": "x y", "many": "2"},
            "request": ["starlette.requests", "PUT", "x y"],
            "same_request": True,
            "url": f"http://app.example{path}",
        }

    async def test_status_and_headers_are_set_beside_the_value(self, target: Target) -> None:
        """Check H1 of the contract."""
        answer = await target.request("GET", "/response")
        assert (answer.status, answer.json(), answer.headers["x-word"]) == (201, {"created": True}, "set")
        assert answer.headers.getlist("set-cookie") == ["a=1", "b=2"]

    async def test_work_goes_on_after_the_answer(self, target: Target) -> None:
        """Check H2 of the contract."""
        key = make_key()
        answer = await target.request("POST", f"/later/{key}")
        assert answer.json() == {"accepted": True}
        assert await reach(target, key, "worked") == ["answered", "worked"]

    @pytest.mark.parametrize(
        ("kind", "status", "type", "body"),
        [
            ("none", 204, None, ""),
            ("str", 200, TEXT, "text é"),
            ("empty", 200, TEXT, ""),
            ("dict", 200, JSON, '{"a":[1,null]}'),
            ("list", 200, JSON, '[1,"two"]'),
            ("dataclass", 200, JSON, '{"x":1,"y":2.5}'),
            ("model", 200, JSON, '{"text":"hi","tags":["a"]}'),
            ("int", 200, JSON, "7"),
            ("float", 200, JSON, "1.5"),
            ("true", 200, JSON, "true"),
            ("false", 200, JSON, "false"),
            ("response", 202, "text/html", "<b>light</b>"),
            ("starlette", 203, "text/html; charset=utf-8", "<b>starlette</b>"),
        ],
    )
    async def test_returned_value_becomes_the_answer(
        self, target: Target, kind: str, status: int, type: str | None, body: str
    ) -> None:
        """Check H3 of the contract."""
        answer = await target.request("GET", f"/returns/{kind}")
        assert (answer.status, answer.headers.get("content-type"), answer.text) == (status, type, body)
        if kind == "starlette":
            assert answer.headers["x-own"] == "yes"

    async def test_returned_bytes_are_the_body(self, target: Target) -> None:
        """Check H3 of the contract."""
        answer = await target.request("GET", "/returns/bytes")
        assert (answer.body, answer.headers["content-type"]) == (b"\x00\xff", "application/octet-stream")

    async def test_http_error_is_the_answer(self, target: Target) -> None:
        """Check H4 of the contract."""
        answer = await target.request("GET", "/fail/error")
        expected = {"status": 418, "message": "short and stout", "data": {"pot": "tea"}}
        assert (answer.status, answer.json(), answer.headers["x-pot"]) == (418, expected, "tea")
        # What was said of the content that did not come is not said of the error.
        assert (answer.headers["content-type"], answer.headers["x-kept"]) == (JSON, "yes")
        phrase = await target.request("GET", "/fail/phrase")
        assert phrase.json() == {"status": 404, "message": "Not Found", "data": None}

    @pytest.mark.parametrize("kind", ["crash", "exit", "unwritable", "split", "length", "chunks", "status"])
    async def test_any_other_exception_is_500_without_detail(self, target: Target, kind: str) -> None:
        """Check H4 of the contract."""
        answer = await target.request("GET", f"/fail/{kind}")
        assert answer.status == 500
        assert "x-smuggled" not in answer.headers
        assert answer.json() == {"status": 500, "message": "Internal Server Error", "data": None}

    async def test_valid_body_and_query_are_models(self, target: Target) -> None:
        """Check H5 of the contract."""
        body = await target.request("POST", "/validated", json={"name": "tea", "amount": "2"})
        assert (body.status, body.json()) == (200, {"name": "tea", "amount": 2})
        query = await target.request("GET", "/validated?number=3&tags=a&tags=b")
        assert query.json() == {"number": 3, "tags": ["a", "b"]}

    @pytest.mark.parametrize(
        ("content", "issues"),
        [
            ('{"name": 1, "amount": "many"}', [(["name"], "string_type"), (["amount"], "int_parsing")]),
            ("{}", [(["name"], "missing"), (["amount"], "missing")]),
            ("{", [([], "json_invalid")]),
        ],
    )
    async def test_bad_body_is_400_with_the_issues(self, target: Target, content: str, issues: list[Any]) -> None:
        """Check H5 of the contract."""
        answer = await target.request("POST", "/validated", content=content)
        problem = answer.json()
        assert (answer.status, problem["status"], sorted(problem)) == (400, 400, ["data", "message", "status"])
        assert [(issue["loc"], issue["type"]) for issue in problem["data"]] == issues
        assert all(issue["msg"] for issue in problem["data"])

    async def test_bad_query_is_400_with_the_issues(self, target: Target) -> None:
        """Check H5 of the contract."""
        answer = await target.request("GET", "/validated?number=three")
        assert answer.status == 400
        assert [(issue["loc"], issue["type"]) for issue in answer.json()["data"]] == [(["number"], "int_parsing")]

    @pytest.mark.parametrize(
        ("method", "path", "name"), [("GET", "", None), ("GET", "/hello/a", "a"), ("POST", "/hello/b", "b")]
    )
    async def test_mounted_application_is_served(
        self, target: Target, method: str, path: str, name: str | None
    ) -> None:
        """Check H6 and R8 of the contract."""
        content = "body" if method == "POST" else None
        answer = await target.request(method, f"/mounted{path or '/'}", content=content)
        assert answer.json() == {
            "body": content or "",
            "life": ["started"],
            "name": name,
            "root_path": "/mounted",
            "word": "from the lifespan",
        }
        assert "first before" in answer.headers["x-trace"]

    async def test_mounted_application_answers_what_it_does_not_serve(self, target: Target) -> None:
        """Check H6 of the contract."""
        assert (await target.request("GET", "/mounted/nowhere")).text == "Not Found"
        assert (await target.request("DELETE", "/mounted/hello/a")).status == 405

    @requires("websocket", "websocket.mounted")
    async def test_mounted_application_has_sockets(self, target: Target) -> None:
        """Check H7 of the contract."""
        async with target.connect("/mounted_sockets/echo") as socket:
            await socket.send("hello")
            assert await socket.receive_text() == "mounted hello"
