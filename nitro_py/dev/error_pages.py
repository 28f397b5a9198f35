"""What the app in development shows of its errors: pages to browsers on this machine, the rest to the overlay."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from nitro_py.dev.error_view import ErrorView, NearPath, make_page
from nitro_py.dev.exception_report import Facts, FailureReport, ReportMaker
from nitro_py.dev.masking import MASK, MaskedRepr, SecretMask
from nitro_py.dev.script_injector import is_for_page
from nitro_py.event import Event, Receive, Scope, Send
from nitro_py.headers import Headers
from nitro_py.mount import ASGIApplication
from nitro_py.peer import Peer
from nitro_py.request import Request
from nitro_py.response import Response
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.public_files import ERROR_FILES
from nitro_py.runtime.containment import failure_observer, stand_in
from nitro_py.runtime.hooks.origin import LOOPBACK_HOSTS
from nitro_py.runtime.hosts import parse_host
from nitro_py.runtime.http.error_pages import HTML, prefers_html
from nitro_py.runtime.http.responses import find_http_error
from nitro_py.runtime.log_context import current_log_context
from nitro_py.runtime.manifest import Route
from nitro_py.runtime.routing.router import NoMatch
from nitro_py.websocket import HOOK_NAMES

# The key of a scope under which the answer to a browser on this machine is.
ANSWER = "nitro_py.dev.answer"
# Fields of requests that came through others, whose browser may be anywhere.
FORWARDED = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"})
# Names of the environment that look like a secret's and are none.
DESKTOP = ("DBUS_", "DESKTOP_", "SSH_", "XDG_")
# How long equal failures are reported once only, in seconds.
PAUSE = 1.0
# How alike a path must be to be named, from 0 to 1, and how many are.
MIN_LIKENESS = 0.45
MAX_NEAR = 8

# Gets a message for the pages that are open.
Announce = Callable[[dict[str, str]], None]


def is_local_browser(scope: Scope) -> bool:
    """Return whether a request asks for a page, in a browser on this machine that called this machine by name."""
    headers = Headers.from_raw(scope["headers"])
    client = scope.get("client")
    try:
        is_local = client is not None and ip_address(client[0]).is_loopback
    except ValueError:
        return False
    host = (parse_host(headers.get("host", "")) or "").strip("[]")
    return (
        is_local
        and (host in LOOPBACK_HOSTS or host.endswith(".localhost"))
        and FORWARDED.isdisjoint(headers)
        and is_for_page(headers)
        and prefers_html(headers.get("accept", ""))
    )


class BrowserAnswer:
    """The ASGI send callable of an answer to a browser on this machine, in whose place a page may be sent.

    Args:
        send: The server's own.
    """

    def __init__(self, send: Send) -> None:
        self.begun = False
        # The page for an exception that a mounted application raised after its own answer, which was held back.
        self.page: Response | None = None
        self._send = send
        self._held: list[Any] = []

    @property
    def held(self) -> bool:
        """Whether an answer is held back."""
        return bool(self._held)

    async def __call__(self, message: Any) -> None:
        """Take one ASGI message; an answer with the status 500 is held back."""
        if self._held or message.get("status") == 500:
            self._held.append(message)
            return
        self.begun = True
        await self._send(message)

    async def end(self) -> None:
        """Send what was held back, or the page in its place."""
        held, self._held = self._held, []
        if self.page is not None:
            body = bytes(memoryview(self.page.body))  # type: ignore[arg-type]
            fields = [*self.page.headers.to_raw(), (b"content-length", b"%d" % len(body))]
            start = {"type": "http.response.start", "status": self.page.status, "headers": fields}
            held = [start, {"type": "http.response.body", "body": body}]
        for message in held:
            await self._send(message)


class BrowserSwitch:
    """An ASGI application around the app that lets pages for errors reach browsers on this machine.

    Args:
        app: The app.
    """

    def __init__(self, app: ASGIApplication) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or not is_local_browser(scope):
            await self._app(scope, receive, send)
            return
        answer = BrowserAnswer(send)
        try:
            await self._app({**scope, ANSWER: answer}, receive, answer)
        except Exception:
            await answer.end()
            # An exception that has a page was logged.
            if answer.page is None:
                raise
        else:
            await answer.end()


class ErrorReporter:
    """The reporter of the app's exceptions: the `ErrorPages` of the app, and the observer of what it logs.

    Args:
        app: The app.
        root: The project's folder.
        announce: Called with each failure that no page shows.
        script: The script that is added to pages, as an element of HTML.
    """

    def __init__(self, app: App, root: Path, announce: Announce, script: str) -> None:
        self._app = app
        self._root = root
        self._announce = announce
        self._script = script
        self._public = app.error_pages
        self._reports = ReportMaker(root)
        self._view = ErrorView(root)
        self._loop: asyncio.AbstractEventLoop | None = None
        # Reports that a page may still show; each exception is kept, so that its id stays its own.
        self._pending: dict[int, tuple[BaseException, FailureReport, float]] = {}
        self._announced: dict[str, float] = {}
        self._lock = threading.Lock()
        # For the whole process: every task and callback begins with a copy of this context.
        failure_observer.set(self.observe)

    def start(self) -> None:
        """Report exceptions from now on, those of tasks that nothing awaits included."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._handle)
        self._app.error_pages = self

    def observe(self, error: Exception, title: str) -> None:
        """Take an exception that was logged."""
        if self._loop is None:
            return
        report = self.report(error, title)
        with self._lock:
            self._pending[id(error)] = (error, report, time.time())
        # Only what is answered at once can have a page.
        self._loop.call_soon_threadsafe(self._flush, id(error))

    def find(self, event: Event, error: Exception, answer: Response) -> Response | None:
        """Return the page for an error."""
        browser = event.scope.get(ANSWER)
        if browser is None or browser.begun:
            return None if self._public is None else self._public.find(event, error, answer)
        if find_http_error(error) is None:
            page = self._show_exception(event, error, answer)
        else:
            miss = self._app.router.match(event.method, event.scope["raw_path"].decode("latin-1"))
            if not isinstance(miss, NoMatch) or answer.status not in (404, 405):
                return None if self._public is None else self._public.find(event, error, answer)
            page = self._show_near(event, miss, answer)
        if browser.held:
            browser.page = page
        return page

    def report(self, error: BaseException, title: str, label: str = "Exception") -> FailureReport:
        """Make the report of an exception, with the request or the peer that the running code works for."""
        context = current_log_context.get()
        subject, route = context or (None, None)
        mask = SecretMask(_list_secrets(subject))
        facts: Iterable[Facts] = ()
        if isinstance(subject, Peer):
            hook = self._find_hook(error, route)
            label = label if hook is None else f"Hook {hook}"
            facts = _describe_peer(subject, route, hook, mask)
        elif subject is not None:
            if subject.scope["type"] == "websocket":
                label = "Upgrade" if self._find_hook(error, route) is None else "Hook upgrade"
            facts = _describe_request(subject, route, mask)
        return self._reports.make(error, mask, label=label, title=title, facts=facts)

    def show(self, report: FailureReport) -> str:
        """Return the view of a report."""
        return self._view.show_failure(report)

    def _flush(self, key: int) -> None:
        with self._lock:
            if key not in self._pending:
                return
            _, report, moment = self._pending.pop(key)
        text = f"{report.title}\n{report.exception.type}: {report.exception.message}"
        now = time.monotonic()
        if now - self._announced.get(text, -PAUSE) >= PAUSE:
            self._announced = {**{old: at for old, at in self._announced.items() if now - at < PAUSE}, text: now}
            # When it failed, not now: a client may have had its answer, and asked for a page.
            at = str(moment * 1000)
            self._announce({"type": "failure", "message": text, "html": self.show(report), "at": at})

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        error = context.get("exception")
        if error is not None:
            task = context.get("future") or context.get("task")
            work = task.get_coro() if isinstance(task, asyncio.Task) else None
            name = "" if work is None else f" ({getattr(work, '__qualname__', repr(work))})"
            error = error if isinstance(error, Exception) else stand_in(error)
            self.observe(error, f"{context.get('message') or 'Exception in the event loop'}{name}")

    def _show_exception(self, event: Event, error: Exception, answer: Response) -> Response:
        with self._lock:
            _, report, _ = self._pending.pop(id(error), (None, None, None))
        if report is None:
            report = self.report(error, f"{event.method} {event.path} failed.")
        report = replace(report, label=str(answer.status))
        title = f"{report.exception.type}: {report.exception.message}"
        return self._respond(title, self.show(report), answer)

    def _show_near(self, event: Event, miss: NoMatch, answer: Response) -> Response:
        routes = [path for route in self._app.manifest.routes for path in _list_paths(route)]
        near = find_near_routes(self._app, event, miss)
        files = find_near_files(event.path, self._app.manifest.public)
        content = self._view.show_miss(answer.status, event.method, event.path, near, files, routes)
        return self._respond(f"{answer.status} {event.path}", content, answer)

    def _respond(self, title: str, content: str, answer: Response) -> Response:
        file = ERROR_FILES.get(answer.status)
        if file is not None and file in self._app.manifest.public:
            content += self._view.show_public(file)
        page, policy = make_page(title, content, allowed=self._script)
        fields = {**answer.headers, "cache-control": "no-store", "content-type": HTML}
        return Response(page, answer.status, {**fields, "content-security-policy": policy})

    def _find_hook(self, error: BaseException, path: str | None) -> str | None:
        codes = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
        for route in self._app.manifest.routes:
            if route.path == path and route.kind == "websocket" and not route.mounted:
                handler = self._app.handler_of(route)
                for name in HOOK_NAMES:
                    hook = getattr(handler, name)
                    if hook is not None and getattr(inspect.unwrap(hook), "__code__", None) in codes:
                        return name
        return None


def find_near_routes(app: App, event: Event, miss: NoMatch) -> list[NearPath]:
    """Return the routes that come near a request, the nearest first: those of its path, then those like it."""
    raw_path = event.scope["raw_path"].decode("latin-1")
    found: dict[str, tuple[float, Route, str]] = {}
    for method in miss.allow:
        match = app.router.match(method, raw_path)
        if not isinstance(match, NoMatch):
            found.setdefault(match.route.file, (2.0, match.route, "other method"))
    socket = app.router.match("GET", raw_path, "websocket")
    if not isinstance(socket, NoMatch):
        found.setdefault(socket.route.file, (2.0, socket.route, "WebSocket only"))
    for route in app.manifest.routes:
        likeness = compare_paths(event.path, route.path)
        if likeness >= MIN_LIKENESS:
            other = bool(route.methods) and event.method not in route.methods
            found.setdefault(route.file, (likeness, route, "other method" if other else ""))
    ranked = sorted(found.values(), key=lambda item: (-item[0], item[1].path))
    return [path for _, route, why in ranked[:MAX_NEAR] for path in _list_paths(route, why)]


def find_near_files(path: str, files: Iterable[str]) -> list[str]:
    """Return the public files that come near a path, the nearest first."""
    likeness = {file: SequenceMatcher(None, path.lower(), file.lower()).ratio() for file in files}
    near = [file for file in likeness if likeness[file] >= MIN_LIKENESS + 0.15]
    return sorted(near, key=lambda file: (-likeness[file], file))[:MAX_NEAR]


def compare_paths(path: str, route: str) -> float:
    """Return how alike a path and a route are, from 0 to 1.

    Example:
        >>> compare_paths("/users/7", "/users/[id]") > compare_paths("/user/7", "/users/[id]") > 0.8
        True
        >>> compare_paths("/users/7", "/about") < 0.45
        True
    """
    given, wanted = path.lower().strip("/").split("/"), route.lower().strip("/").split("/")
    if wanted[-1].startswith("[..."):
        wanted[-1:] = [wanted[-1]] * max(1, len(given) - len(wanted) + 1)
    total = 0.0
    for part, name in zip(given, wanted, strict=False):
        # A parameter takes anything, and is no sign that it was meant.
        total += 0.8 if name.startswith("[") and part else SequenceMatcher(None, part, name).ratio()
    by_segment = total / max(len(given), len(wanted))
    return max(by_segment, 0.9 * SequenceMatcher(None, path.lower(), route.lower()).ratio())


def _list_paths(route: Route, why: str = "") -> Iterator[NearPath]:
    methods = "WS" if route.kind == "websocket" else ", ".join(route.methods) or "any"
    # Whoever can be sent there by a link is.
    link = (
        route.kind != "websocket"
        and "[" not in route.path
        and "GET" in (*route.methods, "GET" * (not route.methods))
    )
    yield NearPath(methods, route.path, route.file, why, is_link=link)


def _list_secrets(subject: Event | Peer | None) -> Iterator[tuple[str, str]]:
    yield from ((name, value) for name, value in os.environ.items() if not name.startswith(DESKTOP))
    if subject is None:
        return
    request = subject.request if isinstance(subject, Peer) else subject
    yield from request.headers.pairs()
    # Each value of a cookie, whatever its name.
    yield from (("cookie", value) for value in request.cookies.values())
    yield from request.query.items()
    yield from request.params.items()
    yield from ((name, value) for name, value in subject.context.items() if isinstance(value, str))


def _describe_request(event: Event, route: str | None, mask: SecretMask) -> list[Facts]:
    rows = [("method", event.method), ("path", event.path), ("route", route or "none"), ("request id", event.id)]
    if event.remote_address is not None:
        rows.append(("remote address", event.remote_address))
    return [Facts("Request", tuple(rows)), *_describe_fields(event, mask)]


def _describe_peer(peer: Peer, route: str | None, hook: str | None, mask: SecretMask) -> list[Facts]:
    rows = [
        ("peer id", peer.id),
        ("route", route or "none"),
        ("hook", hook or "none"),
        ("remote address", peer.remote_address or "unknown"),
        ("namespace", peer.namespace),
        ("state", peer.ready_state.name.lower()),
    ]
    if peer.protocol is not None:
        rows.append(("subprotocol", peer.protocol))
    if topics := ", ".join(sorted(peer.topics)):
        rows.append(("topics", topics))
    context = MaskedRepr(mask).describe(peer.context)
    return [Facts("Connection", tuple(rows)), Facts("Context", context), *_describe_fields(peer.request, mask)]


def _describe_fields(request: Event | Request, mask: SecretMask) -> list[Facts]:
    query = [(name, value) for name in request.query for value in request.query.getlist(name)]
    return [
        Facts("Path parameters", mask.show_all(request.params.items())),
        Facts("Query", mask.show_all(query)),
        Facts("Cookies", tuple((name, MASK) for name in request.cookies)),
        Facts("Headers", mask.show_all(request.headers.pairs())),
    ]
