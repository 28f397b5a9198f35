"""HTTP: the event, returned values, errors, validation, mounted applications."""

from __future__ import annotations

from typing import Any

import pytest

from nitro_py.testing.conformance.suite.steps import RICH, make_key, reach
from nitro_py.testing.conformance.target import Target, requires

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
PART = b'--b\r\ncontent-disposition: form-data; name="name"\r\n\r\ntea\r\n'
# Bodies with the boundary `b` that are no forms.
MULTIPART = [
    b"",
    b"tea",
    b"--b\r\ncontent-dispo",
    PART[:-4],
    PART,
    PART + b"--b\r\n",
    b"--b\r\ncontent disposition\r\n\r\ntea\r\n--b--",
    b"--b\r\nx: y\r\n\r\ntea\r\n--b--",
    PART * 10_000 + b"--b--",
    PART.replace(b'name="name"', b'name="' + b"n" * 100_000 + b'"') + b"--b--",
]


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
            "request": [True, "PUT", "x y"],
            "same_request": True,
            "url": f"http://app.example{path}",
        }

    async def test_slash_at_the_end_is_not_part_of_the_path(self, target: Target) -> None:
        """Check R3 of the contract."""
        answer = await target.request("PUT", "/event/a/?word=x")
        assert (answer.json()["path"], answer.json()["params"]) == ("/event/a", {"id": "a"})

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

    @pytest.mark.parametrize(
        ("field", "cookies"),
        [
            ("a=1; b=two", {"a": "1", "b": "two"}),
            ('session={"id": 5}; s=hello world', {"session": '{"id": 5}', "s": "hello world"}),
            ("user[id]=5; path=/x; version=2", {"user[id]": "5", "path": "/x", "version": "2"}),
            ("id=first; id=second", {"id": "first"}),
            ("lone; =nameless; a=b=c", {"a": "b=c"}),
        ],
    )
    async def test_cookies_come_as_browsers_send_them(
        self, target: Target, field: str, cookies: dict[str, str]
    ) -> None:
        """Check H10 of the contract."""
        answer = await target.request("POST", "/read/cookies", headers={"cookie": field})
        assert answer.json() == [cookies, cookies]

    @pytest.mark.parametrize("content", [b"{", b"", b"\xff", b'{"a": NaN}', b"[1e999]", b"[" * 100_000])
    async def test_json_that_is_none_is_400(self, target: Target, content: bytes) -> None:
        """Check H11 of the contract."""
        answer = await target.request("POST", "/read/json", content=content)
        assert (answer.status, answer.json()["status"]) == (400, 400)

    @pytest.mark.parametrize("kind", ["query", "parameter"])
    async def test_missing_parameter_is_400(self, target: Target, kind: str) -> None:
        """Check H11 of the contract."""
        answer = await target.request("POST", f"/read/{kind}")
        assert (answer.status, answer.json()["status"]) == (400, 400)
        assert "`name`" in answer.json()["message"]

    @pytest.mark.parametrize("kind", ["own", "own_key"])
    async def test_error_of_the_handler_stays_500(self, target: Target, kind: str) -> None:
        """Check H4 and H11 of the contract."""
        assert (await target.request("POST", f"/read/{kind}")).status == 500

    @pytest.mark.parametrize("kind", ["form", "model"])
    @pytest.mark.parametrize("content", ["name=café", "name=caf%C3%A9"])
    async def test_form_may_hold_utf8_as_it_is(self, target: Target, kind: str, content: str) -> None:
        """Check H11 of the contract."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = await target.request("POST", f"/read/{kind}", content=content.encode(), headers=headers)
        assert answer.json() == {"name": "café"}

    @pytest.mark.parametrize("content", MULTIPART)
    async def test_multipart_that_is_malformed_is_400(self, target: Target, content: bytes) -> None:
        """Check H11 of the contract."""
        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = await target.request("POST", "/read/form", content=content, headers=headers)
        assert (answer.status, answer.json()["status"]) == (400, 400)

    @pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=other"])
    async def test_multipart_without_its_boundary_is_400(self, target: Target, boundary: str) -> None:
        """Check H11 of the contract."""
        headers = {"content-type": f"multipart/form-data{boundary}"}
        answer = await target.request("POST", "/read/form", content=PART + b"--b--", headers=headers)
        assert (answer.status, answer.json()["status"]) == (400, 400)

    async def test_multipart_is_read(self, target: Target) -> None:
        """Check H11 of the contract."""
        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = await target.request("POST", "/read/form", content=PART + b"--b--", headers=headers)
        assert (answer.status, answer.json()) == (200, {"name": "tea"})

    async def test_values_beyond_json_are_written(self, target: Target) -> None:
        """Check H12 of the contract."""
        answer = await target.request("GET", "/returns/rich")
        assert (answer.status, answer.text) == (200, RICH)

    async def test_half_a_surrogate_pair_breaks_no_answer(self, target: Target) -> None:
        """Check H12 of the contract."""
        assert (await target.request("GET", "/returns/half")).text == "cut \N{REPLACEMENT CHARACTER}"
        answer = await target.request("POST", "/read/json", content='"\\ud83d"')
        assert answer.text == '{"read":"\\ud83d"}'

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

    @pytest.mark.parametrize(
        "kind", ["crash", "exit", "closing", "unwritable", "split", "length", "chunks", "status"]
    )
    async def test_any_other_exception_is_500_without_detail(self, target: Target, kind: str) -> None:
        """Check H4 of the contract."""
        answer = await target.request("GET", f"/fail/{kind}")
        assert answer.status == 500
        assert "x-smuggled" not in answer.headers
        assert answer.json() == {"status": 500, "message": "Internal Server Error", "data": None}

    @pytest.mark.parametrize(
        "kind",
        ["data", "nan", "circle", "field", "wide_field", "low", "high", "early", "pair", "triple"],
    )
    async def test_what_cannot_be_sent_is_500(self, target: Target, kind: str) -> None:
        """Check H13 of the contract."""
        answer = await target.request("GET", f"/fail/{kind}")
        assert answer.status == 500
        assert answer.headers["content-type"] == JSON
        assert "x-smuggled" not in answer.headers
        assert answer.json() == {"status": 500, "message": "Internal Server Error", "data": None}

    @pytest.mark.parametrize(
        ("kind", "content"),
        [
            ("unnamed", {"status": 499, "message": "Error 499", "data": None}),
            ("returned", {"status": 410, "message": "gone", "data": [1]}),
            ("starlette", {"status": 402, "message": "pay first", "data": None}),
            ("starlette_data", {"status": 409, "message": "Conflict", "data": [{"loc": "x"}]}),
        ],
    )
    async def test_error_in_another_way_is_the_answer(
        self, target: Target, kind: str, content: dict[str, Any]
    ) -> None:
        """Check H13 of the contract."""
        answer = await target.request("GET", f"/fail/{kind}")
        assert (answer.status, answer.json()) == (content["status"], content)
        assert answer.headers.get("x-pot") == ("tea" if kind == "starlette" else None)

    async def test_fields_stay_on_an_error_but_for_those_of_the_content(self, target: Target) -> None:
        """Check H14 of the contract."""
        answer = await target.request("GET", "/fail/staged")
        assert (answer.status, answer.headers["x-kept"], answer.headers["set-cookie"]) == (500, "yes", "a=1")
        assert {"cache-control", "etag", "last-modified"}.isdisjoint(answer.headers)

    @pytest.mark.parametrize("path", ["/event/%ff", "/event/%C3%28", "/nowhere/%80"])
    async def test_path_that_is_not_utf8_is_400(self, target: Target, path: str) -> None:
        """Check H11 of the contract."""
        answer = await target.request("PUT", path)
        assert (answer.status, answer.json()["status"]) == (400, 400)

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
            ('{"name": "tea", "amount": 2, "other": NaN}', [([], "json_invalid")]),
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
