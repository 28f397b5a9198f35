"""What `nitropy dev` prints of requests, sockets and event streams, and how it prints the app's log."""

from __future__ import annotations

import logging
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable, Iterator
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TextIO

import nitro_py
from nitro_py.encoding import Frame
from nitro_py.event import ASGIMessage, Receive, Scope, Send
from nitro_py.mount import ASGIApplication
from nitro_py.runtime.asgi.extensions import SOCKET_EXTENSION, DirectSocket, MessageReceiver
from nitro_py.runtime.contracts import Channel
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.settings import LogSettings
from nitro_py.server.logging import (
    ACCESS_LOGGER,
    AccessLog,
    add_levels,
    escape_controls,
    name_target,
    takes_colours,
)
from nitro_py.websocket import CloseDetails

# How long an answer goes on before its end is told, too: it is a stream then, in seconds.
STREAMS_FROM: Final = 1.0
# How wide paths are, for what follows to stand in columns.
PATH_WIDTH: Final = 32
BEGAN: Final = "nitro.dev.began"
QUIET: Final = "nitro.dev.quiet"
# Code that tracebacks fold: the framework, and what runs tasks and threads in the standard library.
PACKAGE: Final = Path(nitro_py.__file__).parent
STANDARD_LIBRARY: Final = Path(sysconfig.get_path("stdlib"))
INTERNALS: Final = frozenset({"asyncio", "concurrent"})
# The file of a line that stands for folded calls.
FOLDED: Final = "<folded>"

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_STATUS_STYLES: Final = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}
_LEVEL_STYLES: Final = {"DEBUG": "dim", "INFO": "cyan", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


def format_time(seconds: float) -> str:
    """Write a time as a person reads it.

    Example:
        >>> format_time(0.0012), format_time(0.2141), format_time(12.3)
        ('1.2 ms', '214 ms', '12.3 s')
    """
    milliseconds = 1000 * seconds
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


class LineStyle:
    """The style of lines: colours in a terminal, none elsewhere.

    Args:
        colours: Whether there are any.
    """

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def paint(self, text: str, *styles: str) -> str:
        """Return a text in colours.

        Example:
            >>> LineStyle(False).paint("GET", "bold")
            'GET'
        """
        codes = ";".join(_CODES[style] for style in styles if style)
        return f"\033[{codes}m{text}\033[0m" if codes and self._colours else text

    def format(self, kind: str, target: str, outcome: str, took: str = "", *, style: str = "", quiet: bool) -> str:
        """Return a line: the time, what it was, where, what came of it, and how long that took.

        Example:
            >>> LineStyle(False).format("GET", "/a", "200", "1.2 ms", quiet=False)[10:]
            'GET      /a                                200       1.2 ms'
        """
        clock = self.paint(time.strftime("%H:%M:%S"), "dim")
        path = escape_controls(target).ljust(PATH_WIDTH)
        outcome = escape_controls(outcome)
        if quiet:
            return f"{clock}  {self.paint(f'{kind:7}  {path}  {outcome:8}{took:>8}'.rstrip(), 'dim')}"
        parts = [clock, self.paint(f"{kind:7}", "bold"), path, self.paint(f"{outcome:8}", style)]
        return "  ".join(parts) + (self.paint(f"{took:>8}", "dim") if took else "")


class DevFormatter(logging.Formatter):
    """The formatter of log records in development, in the columns of `LineStyle`.

    Args:
        colours: Whether there are any.
    """

    def __init__(self, colours: bool) -> None:
        super().__init__()
        self._style_of_line = LineStyle(colours)

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        paint = self._style_of_line.paint
        level = paint(f"{record.levelname:7}", "bold", _LEVEL_STYLES.get(record.levelname, ""))
        clock = paint(time.strftime("%H:%M:%S", time.localtime(record.created)), "dim")
        lines = [f"{clock}  {level}  {escape_controls(record.getMessage())}  {paint(record.name, 'dim')}"]
        if record.exc_info:
            lines.append(self.formatException(record.exc_info))
        if record.stack_info:
            lines.append(self.formatStack(record.stack_info))
        return "\n".join(lines)

    def formatException(self, ei: Any) -> str:
        """Return the traceback of an exception, with the calls in libraries folded."""
        if ei[1] is None:
            return super().formatException(ei)
        shown = traceback.TracebackException.from_exception(ei[1])
        linked = list(_walk_linked(shown))
        if any(_is_own(frame) for each in linked for frame in each.stack):
            for each in linked:
                each.stack = self._fold(each.stack)
        return "".join(shown.format()).rstrip("\n")

    def _fold(self, stack: traceback.StackSummary) -> FoldedStack:
        folded = FoldedStack()
        for is_library, frames in groupby(stack, lambda frame: _name_library(frame) is not None):
            if not is_library:
                folded.extend(frames)
                continue
            names = [_name_library(frame) or "" for frame in frames]
            calls = f"{len(names)} call{'s' * (len(names) > 1)}"
            text = self._style_of_line.paint(f"… {calls} in {', '.join(dict.fromkeys(names))}", "dim")
            folded.append(traceback.FrameSummary(FOLDED, len(folded), text, lookup_line=False))
        return folded


class FoldedStack(traceback.StackSummary):
    """The calls of a traceback, some of which stand in one line together."""

    def format_frame_summary(self, frame_summary: traceback.FrameSummary, **options: Any) -> str:
        """Return the lines of a call, or the line of those that are folded."""
        if frame_summary.filename == FOLDED:
            return f"  {frame_summary.name}\n"
        return super().format_frame_summary(frame_summary, **options)


def _walk_linked(
    error: traceback.TracebackException | None,
) -> Iterator[traceback.TracebackException]:
    if error is not None:
        yield error
        yield from _walk_linked(error.__cause__)
        yield from _walk_linked(error.__context__)
        for member in error.exceptions or ():
            yield from _walk_linked(member)


def _name_library(frame: traceback.FrameSummary) -> str | None:
    """Return the name of the library that a call is in, if its calls are folded."""
    path = Path(frame.filename)
    if path.is_relative_to(PACKAGE):
        return PACKAGE.name
    if path.is_relative_to(STANDARD_LIBRARY) and (top := path.relative_to(STANDARD_LIBRARY).parts[0]) in INTERNALS:
        return top
    for place in ("site-packages", "dist-packages"):
        if place in path.parts[:-1]:
            return path.parts[path.parts.index(place) + 1].removesuffix(".py")
    return None


def _is_own(frame: traceback.FrameSummary) -> bool:
    is_code = not frame.filename.startswith("<")
    return is_code and _name_library(frame) is None and not Path(frame.filename).is_relative_to(STANDARD_LIBRARY)


class DevAccessLog(AccessLog):
    """The access log of `nitropy dev`: one line for an answer, with the time from its request to its beginning."""

    # The colours are our own.
    has_colours = False

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self.style = LineStyle(takes_colours(self.stream))

    def note(self, scope: Any, status: int) -> None:
        """Add the line about an answer.

        Args:
            scope: The request's ASGI scope.
            status: The answer's status.
        """
        began = scope.get(BEGAN)
        took = "" if began is None else format_time(time.perf_counter() - began)
        style = _STATUS_STYLES.get(status // 100, "")
        quiet = bool(scope.get(QUIET)) and status < 400
        self.tell(scope["method"], name_target(scope), str(status), took, style=style, quiet=quiet)

    def tell(
        self, kind: str, target: str, outcome: str, took: str = "", *, style: str = "", quiet: bool = False
    ) -> None:
        """Add a line."""
        self.add(self.style.format(kind, target, outcome, took, style=style, quiet=quiet) + "\n")


def make_dev_log_config(settings: LogSettings) -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`.

    Args:
        settings: The settings `log.*`; a build for development has a level.
    """
    place = f"{DevAccessLog.__module__}."
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"dev": {"()": f"{place}make_formatter"}},
        "handlers": {
            "dev": {"class": "logging.StreamHandler", "formatter": "dev", "stream": "ext://sys.stdout"},
            "access": {"class": f"{place}DevAccessLog", "stream": "ext://sys.stdout"},
        },
        "root": {"handlers": ["dev"], "level": (settings.level or "info").upper()},
        "loggers": {
            ACCESS_LOGGER.name: {"handlers": ["access"], "level": "INFO", "propagate": False},
            # The dev server says itself what starts and stops.
            "uvicorn": {"level": "WARNING"},
            # It tells what the app has its own lines for.
            "watchfiles": {"level": "WARNING"},
        },
    }
    add_levels(config, settings.levels)
    return config


def make_formatter() -> DevFormatter:
    """Return the formatter for this process's output."""
    return DevFormatter(takes_colours(sys.stdout))


class RequestLog:
    """An ASGI application around another that notes when requests begin, and tells of sockets and streams.

    The server's own `send` goes through unwrapped, so that the app runs as it does in its bundle.

    Args:
        app: The app.
        is_quiet: Returns whether a request is one for a public file or a probe.
        ignored: The path of the live-reload socket, if it shares the app's port.
    """

    def __init__(self, app: ASGIApplication, is_quiet: Callable[[Scope], bool], ignored: str | None) -> None:
        self._app = app
        self._is_quiet = is_quiet
        self._ignored = ignored

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        log = find_dev_log()
        if log is None or scope["type"] == "lifespan" or scope["path"] == self._ignored:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_socket(log, scope, receive, send)
        else:
            began = scope[BEGAN] = time.perf_counter()
            scope[QUIET] = self._is_quiet(scope)
            try:
                await self._app(scope, receive, send)
            finally:
                took = time.perf_counter() - began
                if took >= STREAMS_FROM:
                    log.tell(scope["method"], name_target(scope), "ended", format_time(took), quiet=True)

    async def _serve_socket(self, log: DevAccessLog, scope: Scope, receive: Receive, send: Send) -> None:
        extensions = scope.get("extensions", {})
        direct = extensions.get(SOCKET_EXTENSION)
        if direct is None:
            await self._app(scope, receive, send)
            return
        socket = LoggedSocket(log, name_target(scope), direct, receive)
        inner = {**scope, "extensions": {**extensions, SOCKET_EXTENSION: socket}}
        try:
            await self._app(inner, socket.receive, socket.send)
        finally:
            socket.end()


def find_dev_log() -> DevAccessLog | None:
    """Return the access log, if it is the one of `nitropy dev`."""
    return next((handler for handler in ACCESS_LOGGER.handlers if isinstance(handler, DevAccessLog)), None)


class LoggedSocket:
    """The server's side of a socket, as a `DirectSocket` that tells how the socket begins and ends.

    Args:
        log: Where it is told.
        target: The target of the handshake.
        direct: The server's own.
        receive: The ASGI receive callable.
    """

    def __init__(self, log: DevAccessLog, target: str, direct: DirectSocket, receive: Receive) -> None:
        self._log = log
        self._target = target
        self._direct = direct
        self._receive = receive
        self._began = time.perf_counter()
        self._state = "asked"
        self.received = 0

    async def receive(self) -> ASGIMessage:
        """Return the next message; the ASGI `receive`."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            self.received += 1
        elif message["type"] == "websocket.disconnect":
            self.close(message.get("code", 1005), message.get("reason") or "")
        return message

    async def send(self, message: ASGIMessage, /) -> None:
        """Send a message; the ASGI `send`."""
        kind = message["type"]
        took = format_time(time.perf_counter() - self._began)
        if self._state == "asked" and kind == "websocket.accept":
            self._state = "open"
            self._log.tell("WS", self._target, "open", took, style="green")
        elif self._state == "asked" and kind in ("websocket.close", "websocket.http.response.start"):
            self._state = "refused"
            status = int(message.get("status", 403))
            self._log.tell(
                "WS", self._target, f"refused {status} {_name_status(status)}".rstrip(), took, style="yellow"
            )
        await self._direct.send(message)
        if kind == "websocket.close":
            self.close(message.get("code", 1000), message.get("reason") or "")

    def open_channel(self, *, limit: int, counters: Counters) -> Channel:
        """Return the channel that writes to the client."""
        return self._direct.open_channel(limit=limit, counters=counters)

    def attach(self, receiver: MessageReceiver) -> None:
        """Hand messages to a receiver, and count them."""
        self._state = "attached"
        self._direct.attach(LoggedReceiver(self, receiver))

    def close(self, code: int, reason: str) -> None:
        """Tell once that the socket has been closed."""
        if self._state in ("open", "attached"):
            self._state = "closed"
            text = f"closed {code}{f' {reason}' if reason else ''}"
            lived = format_time(time.perf_counter() - self._began)
            style = "" if code in (1000, 1001, 1005) else "yellow"
            self._log.tell("WS", self._target, text, f"  {lived}, {self.received} in", style=style)

    def end(self) -> None:
        """Tell of the end of a socket that the app has served itself."""
        if self._state == "open":
            self.close(1006, "")


class LoggedReceiver:
    """A receiver around another that counts messages, and tells of the end.

    Args:
        socket: The socket.
        receiver: The app's own receiver.
    """

    def __init__(self, socket: LoggedSocket, receiver: MessageReceiver) -> None:
        self._socket = socket
        self._receiver = receiver

    @property
    def on_resume(self) -> Callable[[], None] | None:
        """What is called once there is room for messages again."""
        return self._receiver.on_resume

    @on_resume.setter
    def on_resume(self, resume: Callable[[], None] | None) -> None:
        self._receiver.on_resume = resume

    def feed(self, data: Frame) -> bool:
        """Take a message."""
        self._socket.received += 1
        return self._receiver.feed(data)

    def on_close(self, details: CloseDetails) -> None:
        """End the session."""
        self._socket.close(details.code, details.reason)
        self._receiver.on_close(details)

    def on_connection_lost(self) -> None:
        """Forget the connection."""
        self._receiver.on_connection_lost()


def _name_status(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
