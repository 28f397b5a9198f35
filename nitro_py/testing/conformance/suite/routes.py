"""Route files, middleware and plugins."""

from __future__ import annotations

import pytest

from nitro_py.testing.conformance.suite.steps import make_key, read_journal
from nitro_py.testing.conformance.target import Target, requires

METHODS = ["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"]


@pytest.mark.anyio
class Routes:
    """Tests of the contract's section "Route files"."""

    @pytest.mark.parametrize("path", ["/rules", "/rules/", "/rules/grouped", "/rules/grouped/", "/rules/users/7/"])
    async def test_index_group_and_trailing_slash_name_the_same_path(self, target: Target, path: str) -> None:
        """Check R1, R2 and R3 of the contract."""
        assert (await target.request("GET", path)).status == 200

    @pytest.mark.parametrize(
        ("path", "id"),
        [("7", "7"), ("a%2Fb", "a/b"), ("%C3%A9", "é"), ("a%20b+c", "a b+c"), ("index", "index"), ("%25", "%")],
    )
    async def test_parameter_is_one_decoded_segment(self, target: Target, path: str, id: str) -> None:
        """Check R2, R3 and R7 of the contract."""
        answer = await target.request("GET", f"/rules/users/{path}")
        assert answer.json() == {"id": id, "neighbour": f"neighbour of {id}", "package": "lexicon"}

    async def test_parameter_is_not_two_segments(self, target: Target) -> None:
        """Check R2 of the contract."""
        answer = await target.request("GET", "/rules/users/a/b")
        assert (answer.status, answer.json()["status"]) == (404, 404)
        assert (await target.request("GET", "/rules/users")).status == 404

    @pytest.mark.parametrize(
        ("path", "params"),
        [
            ("/rules/files/a", {"slug": "a"}),
            ("/rules/files/a/b/c.txt", {"slug": "a/b/c.txt"}),
            ("/rules/rest/a/b", {"_": "a/b"}),
        ],
    )
    async def test_catch_all_takes_the_rest(self, target: Target, path: str, params: dict[str, str]) -> None:
        """Check R2 of the contract."""
        assert (await target.request("GET", path)).json()["params"] == params

    @pytest.mark.parametrize(
        ("path", "file", "params"),
        [
            ("/static", "static", {}),
            ("/7", "[id]", {"id": "7"}),
            ("/7/leaf", "[id]/leaf", {"id": "7"}),
            ("/static/x", "static/[leaf]", {"leaf": "x"}),
            ("/static/leaf", "static/[leaf]", {"leaf": "leaf"}),
            ("/7/other", "[...rest]", {"rest": "7/other"}),
            ("/static/x/y", "[...rest]", {"rest": "static/x/y"}),
        ],
    )
    async def test_static_goes_before_parameter_before_catch_all(
        self, target: Target, path: str, file: str, params: dict[str, str]
    ) -> None:
        """Check R3 of the contract."""
        answer = await target.request("GET", f"/rules/order{path}")
        assert answer.json() == {"file": f"rules/order/{file}.get.py", "params": params}

    @pytest.mark.parametrize("method", METHODS)
    async def test_method_in_the_name_is_that_method(self, target: Target, method: str) -> None:
        """Check R2 of the contract."""
        answer = await target.request(method, "/rules/methods/each")
        assert answer.json()["file"] == f"rules/methods/each.{method.lower()}.py"

    @pytest.mark.parametrize("method", METHODS)
    async def test_no_method_in_the_name_is_every_method(self, target: Target, method: str) -> None:
        """Check R2 of the contract."""
        assert (await target.request(method, "/rules/methods/any")).json() == {"method": method}

    async def test_head_has_its_own_file_or_falls_back_to_get(self, target: Target) -> None:
        """Check R4 of the contract."""
        own = await target.request("HEAD", "/rules/methods/each")
        assert (own.status, own.headers.get("x-file"), own.body) == (200, "each.head.py", b"")
        get = await target.request("GET", "/rules/methods/some")
        head = await target.request("HEAD", "/rules/methods/some")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]

    @requires("http.length")
    async def test_head_tells_the_length_that_get_has(self, target: Target) -> None:
        """Check R4 of the contract."""
        get = await target.request("GET", "/rules/methods/some")
        head = await target.request("HEAD", "/rules/methods/some")
        assert head.headers["content-length"] == str(len(get.body))

    async def test_known_path_with_another_method_is_405(self, target: Target) -> None:
        """Check R4 of the contract."""
        answer = await target.request("POST", "/rules/methods/some")
        assert (answer.status, answer.json()["status"]) == (405, 405)
        assert answer.headers["allow"].split(", ") == ["GET", "HEAD", "PUT"]

    async def test_mode_in_the_name_is_that_mode_only(self, target: Target) -> None:
        """Check R2 of the contract."""
        assert (await target.request("GET", "/rules/mode")).json()["file"] == "rules/mode.get.prod.py"
        assert (await target.request("GET", "/rules/everywhere")).status == 404

    @pytest.mark.parametrize(
        "path", ["/_journal", "/.hidden", "/ignored/draft", "/rules/users/_neighbour/x", "/middleware/01_first"]
    )
    async def test_what_is_no_route_is_not_served(self, target: Target, path: str) -> None:
        """Check R2 of the contract."""
        answer = await target.request("GET", path)
        assert (answer.status, sorted(answer.json())) == (404, ["data", "message", "status"])

    async def test_middleware_runs_around_a_route_in_file_name_order(self, target: Target) -> None:
        """Check R8 of the contract."""
        answer = await target.request("GET", "/rules")
        trace = "first before, guard before, guard after, first after"
        assert (answer.text, answer.headers["x-trace"]) == ("index", trace)

    async def test_middleware_answers_in_the_place_of_a_route(self, target: Target) -> None:
        """Check R8 of the contract."""
        answer = await target.request("GET", "/rules", headers={"x-guard": "answer"})
        assert (answer.status, answer.json()) == (401, {"refused": "by middleware"})
        assert (answer.headers["x-refused"], answer.headers["x-trace"]) == (
            "yes",
            "first before, guard before, first after",
        )
        error = await target.request("GET", "/rules", headers={"x-guard": "error"})
        assert (error.status, error.json()["message"]) == (429, "too many")
        assert (await target.request("GET", "/rules", headers={"x-guard": "silent"})).text == "index"

    async def test_plugins_start_once_in_a_process_and_in_order(self, target: Target) -> None:
        """Check R9 of the contract."""
        for _ in range(3):
            assert (await target.request("GET", "/plugins")).json() == ["outer", "inner"]

    async def test_journal_of_a_new_key_is_empty(self, target: Target) -> None:
        assert await read_journal(target, make_key()) == []
