"""From a method and a path to a route."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any
from urllib.parse import unquote

import pytest

from nitro_py.capabilities import Kind
from nitro_py.runtime.http.dispatch import strip_root
from nitro_py.runtime.manifest import Route
from nitro_py.runtime.routing import router as router_module
from nitro_py.runtime.routing.router import Match, NoMatch, Router


def route(path: str, *methods: str, kind: Kind = "http", mounted: bool = False) -> Route:
    """Make a route whose file is named after its methods and path."""
    return Route(path, kind, tuple(sorted(methods)), f"{path}{''.join(methods)}", mounted=mounted)


def find(routes: Iterable[Route], path: str, method: str = "GET") -> tuple[str, dict[str, str]] | None:
    """Find the path of the route that answers, and the parameters."""
    found = Router(routes).match(method, path)
    return (found.route.path, found.params) if isinstance(found, Match) else None


USERS = [route(path) for path in ("/users/me", "/users/[id]", "/users/[...rest]", "/[...]", "/")]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", ("/", {})),
        ("", ("/", {})),
        ("/users/me", ("/users/me", {})),
        ("/users/7", ("/users/[id]", {"id": "7"})),
        ("/users/me/too", ("/users/[...rest]", {"rest": "me/too"})),
        ("/users/7/x/y", ("/users/[...rest]", {"rest": "7/x/y"})),
        ("/users", ("/users/[...rest]", {"rest": ""})),
        ("/other", ("/[...]", {"_": "other"})),
        ("/usersx/7", ("/[...]", {"_": "usersx/7"})),
    ],
)
def test_static_before_parameter_before_catch_all(path: str, found: tuple[str, dict[str, str]]) -> None:
    assert find(USERS, path) == found
    assert find(reversed(USERS), path) == found


def test_precedence_is_decided_at_each_segment_from_the_left() -> None:
    routes = [route("/[a]/static"), route("/static/[b]")]
    assert find(routes, "/static/static") == ("/static/[b]", {"b": "static"})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a/b/c", ("/a/b/c", {})),
        ("/a/b/d", ("/a/[x]/d", {"x": "b"})),
        ("/a/b/e", ("/[y]/b/e", {"y": "a"})),
        ("/a/b/f", ("/[...rest]", {"rest": "a/b/f"})),
    ],
)
def test_a_dead_end_leads_back(path: str, found: tuple[str, dict[str, str]]) -> None:
    routes = [route(item) for item in ("/a/b/c", "/a/[x]/d", "/[y]/b/e", "/[...rest]")]
    assert find(routes, path) == found


def test_another_method_leads_back_too() -> None:
    routes = [route("/users/me", "POST"), route("/users/[id]", "GET")]
    assert find(routes, "/users/me") == ("/users/[id]", {"id": "me"})
    assert find(routes, "/users/me", "POST") == ("/users/me", {})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/files/a%2Fb", ("/files/[name]", {"name": "a/b"})),
        ("/files/caf%C3%A9", ("/files/[name]", {"name": "café"})),
        ("/files/%5Bname%5D", ("/files/[name]", {"name": "[name]"})),
        ("/files/a%2Fb/c%2Fd/e", ("/files/[name]/[...rest]", {"name": "a/b", "rest": "c/d/e"})),
        ("/f%69les/x", ("/files/[name]", {"name": "x"})),
        ("/files%2Fx", None),
        ("/files//", None),
        ("//files/x", None),
    ],
)
def test_segments_are_decoded_after_they_are_split(path: str, found: tuple[str, dict[str, str]] | None) -> None:
    assert find([route("/files/[name]"), route("/files/[name]/[...rest]")], path) == found


def test_empty_segment_is_no_parameter() -> None:
    assert find([route("/[lang]/docs"), route("/users/[id]/posts")], "//docs") is None
    assert find([route("/users/[id]/posts")], "/users//posts") is None
    assert find([route("/users/[id]/posts"), route("/[...rest]")], "/users//posts") == (
        "/[...rest]",
        {"rest": "users//posts"},
    )


def test_trailing_slash_is_ignored() -> None:
    routes = [route("/a"), route("/b/[x]"), route("/c/[...rest]")]
    assert find(routes, "/a/") == ("/a", {})
    assert find(routes, "/b/7/") == ("/b/[x]", {"x": "7"})
    assert find(routes, "/c/") == ("/c/[...rest]", {"rest": ""})
    assert find(routes, "/c/d/e/") == ("/c/[...rest]", {"rest": "d/e"})


def test_catch_all_takes_no_segments_too() -> None:
    assert find([route("/docs/[...slug]")], "/docs") == ("/docs/[...slug]", {"slug": ""})
    assert find([route("/docs/[...slug]"), route("/docs")], "/docs") == ("/docs", {})
    assert find([route("/[...]")], "/") == ("/[...]", {"_": ""})
    assert find([route("/docs/[...slug]")], "/doc") is None


def test_head_falls_back_to_get() -> None:
    assert Router([route("/a", "GET")]).match("HEAD", "/a") == Match(route("/a", "GET"), {}, 1)
    own = [route("/a", "GET"), route("/a", "HEAD")]
    assert Router(own).match("HEAD", "/a") == Match(own[1], {}, 1)
    assert Router([route("/a", "POST")]).match("HEAD", "/a") == NoMatch(("POST",))


def test_own_method_before_every_method() -> None:
    routes = [route("/a"), route("/a", "POST")]
    assert Router(routes).match("POST", "/a") == Match(routes[1], {}, 1)
    assert Router(routes).match("PUT", "/a") == Match(routes[0], {}, 1)


def test_other_methods_are_named_whichever_route_has_them() -> None:
    routes = [route("/users/me", "PUT"), route("/users/[id]", "GET", "DELETE"), route("/[...rest]", "POST")]
    assert Router(routes).match("PATCH", "/users/me") == NoMatch(("DELETE", "GET", "HEAD", "POST", "PUT"))
    assert Router(routes).match("PATCH", "/users/7") == NoMatch(("DELETE", "GET", "HEAD", "POST"))
    assert Router(routes[:2]).match("PATCH", "/nowhere") == NoMatch()


def test_socket_finds_sockets_and_mounted_apps_only() -> None:
    page, chat = route("/chat", "GET"), route("/chat", kind="websocket")
    router = Router([page, chat, route("/feed", "GET"), route("/app", mounted=True)])
    assert router.match("GET", "/chat", "websocket") == Match(chat, {}, 1)
    assert router.match("GET", "/chat") == Match(page, {}, 1)
    assert isinstance(router.match("GET", "/feed", "websocket"), NoMatch)
    assert isinstance(router.match("GET", "/app/rooms/1", "websocket"), Match)


@pytest.mark.parametrize(
    ("path", "rest"), [("/app", 1), ("/app/", 1), ("/app/users/7", 1), ("/deep/in/app/x", 3), ("/apple", None)]
)
def test_mounted_app_serves_what_lies_below(path: str, rest: int | None) -> None:
    found = Router([route("/app", mounted=True), route("/deep/[x]/app", mounted=True)]).match("GET", path)
    assert (found.rest if isinstance(found, Match) else None) == rest


def test_route_beside_a_mounted_app_wins() -> None:
    routes = [route("/[...]", mounted=True), route("/api/hello", "GET")]
    assert find(routes, "/api/hello") == ("/api/hello", {})
    assert find(routes, "/api/hello", "POST") == ("/[...]", {"_": "api/hello"})


def test_serves_finds_any_method() -> None:
    router = Router([route("/hooks/[id]", "POST"), route("/chat", kind="websocket")])
    assert [found.path if (found := router.serves(path)) else None for path in ("/hooks/7", "/chat/", "/x")] == [
        "/hooks/[id]",
        "/chat",
        None,
    ]


def count_lines(size: int, path: str) -> int:
    """Count the lines that a match runs, among so many routes."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        lines += event == "line" and frame.f_code.co_filename == router_module.__file__
        return trace

    routes = [route("/api/users/[id]/posts/[post]"), route("/[...rest]")]
    for number in range(size):
        routes += [route(f"/s{number}"), route(f"/api/s{number}/[x]"), route(f"/api/users/[id]/s{number}")]
    router = Router(routes)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        match = router.match("GET", path)
    finally:
        sys.settrace(before)
    assert isinstance(match, Match)
    return lines


@pytest.mark.parametrize("path", ["/api/users/7/posts/8", "/s1", "/api/s1/x", "/nowhere/at/all", "/api/users/7/x"])
def test_cost_does_not_grow_with_the_number_of_routes(path: str) -> None:
    # What is remembered of a path's parameters is made at its first match.
    count_lines(2, path)
    few = count_lines(2, path)
    assert 0 < few < 150
    assert count_lines(2000, path) == few


def test_each_request_gets_the_same_match_for_a_path_without_parameters() -> None:
    router = Router([route("/hello"), route("/hello", "POST")])
    first = router.match("GET", "/hello")
    assert router.match("GET", "/hello/") is first
    assert router.match("POST", "/hello") == Match(route("/hello", "POST"), {}, 1)
    # A method that a client invents is served, and not remembered.
    assert router.match("BREW", "/hello") is not router.match("BREW", "/hello")


def test_head_prefers_the_route_of_get_to_one_of_every_method() -> None:
    for path, asked in (("/a", "/a"), ("/[x]", "/7"), ("/[...]", "/7/8")):
        every, get, head = route(path), route(path, "GET"), route(path, "HEAD")
        for routes in ([every, get], [get, every]):
            found = Router(routes).match("HEAD", asked)
            assert isinstance(found, Match)
            assert found.route == get
            found = Router([*routes, head]).match("HEAD", asked)
            assert isinstance(found, Match)
            assert found.route == head
        found = Router([every, route(path, "POST")]).match("HEAD", asked)
        assert isinstance(found, Match)
        assert found.route == every


@pytest.mark.parametrize(
    ("root", "path", "below"),
    [
        ("/api", "/api/x", "/x"),
        ("/api", "/api", "/"),
        ("/api", "/api/", "/"),
        ("/api", "/apix", "/apix"),
        ("/api", "/apix/api", "/apix/api"),
        ("/api", "/api%2Fx", "/api%2Fx"),
        ("/api", "/x/api/y", "/x/api/y"),
        ("/api", "/", "/"),
        ("", "/api", "/api"),
    ],
)
def test_only_the_whole_name_of_the_root_is_stripped(root: str, path: str, below: str) -> None:
    scope = {"type": "http", "path": unquote(path), "raw_path": path.encode(), "root_path": root}
    assert strip_root(scope) == below


def test_mounted_application_gets_its_place_and_what_is_below_alone() -> None:
    routes = [route("/api", mounted=True), route("/[id]/app", mounted=True)]
    for path, found in (
        ("/api", ("/api", 1)),
        ("/api/x/y", ("/api", 1)),
        ("/7/app/x", ("/[id]/app", 2)),
        ("/apix", None),
        ("/apix/y", None),
        ("/7/apps", None),
    ):
        match = Router(routes).match("GET", path)
        assert (None if isinstance(match, NoMatch) else (match.route.path, match.rest)) == found
