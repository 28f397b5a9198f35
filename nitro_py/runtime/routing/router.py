"""The router, whose cost does not grow with the number of routes (rows `http` and `http-500`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Literal, NamedTuple
from urllib.parse import unquote

from nitro_py.request import normalise_path
from nitro_py.runtime.manifest import Route
from nitro_py.runtime.routing.methods import METHODS

_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")

Protocol = Literal["http", "websocket"]


class Match(NamedTuple):
    """A route that serves a request.

    All requests to a path without parameters get the same object: `params` MUST NOT be changed.

    Args:
        route: The route.
        params: The path's parameters.
        rest: The number of segments before those that a mounted application serves.
    """

    route: Route
    params: dict[str, str]
    rest: int = 0


class NoMatch(NamedTuple):
    """No route for a request.

    `allow` names the methods that the path has; `malformed` tells that it is not percent-encoded UTF-8.
    """

    allow: tuple[str, ...] = ()
    malformed: bool = False


class Node:
    """A node of the segment tree, with the routes that end there."""

    __slots__ = ("catch_all", "matches", "parameter", "routes", "static")

    def __init__(self) -> None:
        self.static: dict[str, Node] = {}
        self.parameter: Node | None = None
        self.catch_all: Node | None = None
        self.routes: dict[str, list[Route]] = {}
        self.matches: dict[tuple[str, Protocol], Match] = {}

    def find(self, method: str, protocol: Protocol) -> Route | None:
        """Return the route that serves a method here: its own, `GET` for `HEAD`, or the one for every method."""
        for name in (method, "GET", "") if method == "HEAD" else (method, ""):
            for route in self.routes.get(name, ()):
                if protocol == "http" or route.kind == "websocket" or route.mounted:
                    return route
        return None


class Router:
    """The routes of an app: static paths in a dictionary, others in a tree of segments.

    At each segment a static name comes before a parameter, and a parameter before a catch-all.

    Args:
        routes: The manifest's routes.

    Example:
        >>> router = Router([Route("/users/[id]", "http", ("GET",), "users/[id].get.py")])
        >>> router.match("GET", "/users/7").params
        {'id': '7'}
        >>> router.match("POST", "/users/7").allow
        ('GET', 'HEAD')
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = Node()
        self._static: dict[str, Node] = {}
        for route in routes:
            self._add(route)

    def match(self, method: str, raw_path: str, protocol: Protocol = "http") -> Match | NoMatch:
        """Find the route for a request.

        Args:
            method: The method, in upper case.
            raw_path: The path as the client sent it, percent-encoded, without the query.
            protocol: The protocol; `websocket` finds WebSocket routes and mounted applications only.
        """
        path = raw_path
        node = self._static.get(path)
        if node is None:
            path = normalise_path(raw_path)
            node = self._static.get(path)
        if node is not None:
            match = node.matches.get((method, protocol)) or _match_static(node, method, protocol, path)
            if match is not None:
                return match
        try:
            segments = split_path(path)
        except ValueError:
            return NoMatch(malformed=True)
        return self._descend(segments, method, protocol) or self._search(segments, method, protocol)

    def serves(self, path: str) -> Route | None:
        """Return a route that serves a path with any method, if there is one."""
        for found, _, _ in self._walk(self._root, split_path(path.rstrip("/")), 0, ()):
            return next(iter(found.routes.values()))[0]
        return None

    def _descend(self, segments: tuple[str, ...], method: str, protocol: Protocol) -> Match | None:
        """Take the first choice at each segment; `None` if that finds nothing, and a search is needed."""
        node = self._root
        values: list[str] = []
        for segment in segments:
            following = node.static.get(segment)
            if following is None:
                following = node.parameter
                if following is None or not segment:
                    return None
                values.append(segment)
            node = following
        route = node.find(method, protocol)
        return None if route is None else Match(route, _name_params(route, values), len(segments))

    def _search(self, segments: tuple[str, ...], method: str, protocol: Protocol) -> Match | NoMatch:
        allow: set[str] = set()
        for found, values, rest in self._walk(self._root, segments, 0, ()):
            if (route := found.find(method, protocol)) is not None:
                return Match(route, _name_params(route, values), rest)
            allow.update(_methods_at(found))
        return NoMatch(tuple(sorted(allow)))

    def _add(self, route: Route) -> None:
        segments = [segment for segment in route.path.split("/") if segment]
        self._insert(route, segments)
        if route.mounted and not (segments and segments[-1].startswith("[...")):
            # A mounted application serves every path below its own, too.
            self._insert(route, [*segments, "[...]"])

    def _insert(self, route: Route, segments: list[str]) -> None:
        node = self._root
        for segment in segments:
            node = _child(node, segment)
        for method in route.methods or ("",):
            node.routes.setdefault(method, []).append(route)
        if not any(segment.startswith("[") for segment in segments):
            self._static["/" + "/".join(segments)] = node

    def _walk(
        self, node: Node, segments: tuple[str, ...], index: int, values: tuple[str, ...]
    ) -> Iterator[tuple[Node, tuple[str, ...], int]]:
        if index == len(segments):
            if node.routes:
                yield node, values, index
        else:
            segment = segments[index]
            if (child := node.static.get(segment)) is not None:
                yield from self._walk(child, segments, index + 1, values)
            if node.parameter is not None and segment:
                yield from self._walk(node.parameter, segments, index + 1, (*values, segment))
        if node.catch_all is not None:
            yield node.catch_all, (*values, "/".join(segments[index:])), index


def split_path(raw_path: str) -> tuple[str, ...]:
    """Split a percent-encoded path into decoded segments; an encoded slash stays inside its segment.

    Raises:
        ValueError: The path does not begin with a slash, or is not percent-encoded UTF-8.
    """
    if raw_path in ("", "/"):
        return ()
    if raw_path[0] != "/":
        raise ValueError(f"`{raw_path}` does not begin with a slash.")
    parts = raw_path[1:].split("/")
    if "%" not in raw_path:
        return tuple(parts)
    if _LONE_PERCENT.search(raw_path):
        raise ValueError(f"`{raw_path}` is not percent-encoded.")
    return tuple(unquote(part, errors="strict") if "%" in part else part for part in parts)


@cache
def parameter_names(path: str) -> tuple[str, ...]:
    """Return the names of a path's parameters, in order; an unnamed catch-all is `_`.

    Example:
        >>> parameter_names("/users/[id]/[...]")
        ('id', '_')
    """
    names = [part[1:-1].removeprefix("...") for part in path.split("/") if part.startswith("[")]
    return tuple(name or "_" for name in names)


def _child(node: Node, segment: str) -> Node:
    if segment.startswith("[..."):
        node.catch_all = node.catch_all or Node()
        return node.catch_all
    if segment.startswith("["):
        node.parameter = node.parameter or Node()
        return node.parameter
    return node.static.setdefault(segment, Node())


def _match_static(node: Node, method: str, protocol: Protocol, path: str) -> Match | None:
    route = node.find(method, protocol)
    if route is None:
        return None
    match = Match(route, {}, len(split_path(path)))
    # Clients can make up any number of other methods, and a route for every method would keep them all.
    if method in METHODS:
        node.matches[method, protocol] = match
    return match


def _name_params(route: Route, values: Sequence[str]) -> dict[str, str]:
    # The catch-all below a mounted application's path has no name in the file name.
    return dict(zip(parameter_names(route.path), values, strict=False))


def _methods_at(node: Node) -> set[str]:
    methods: set[str] = set()
    for method in node.routes:
        methods.update(METHODS if method == "" else (method,))
    if "GET" in methods:
        methods.add("HEAD")
    return methods
