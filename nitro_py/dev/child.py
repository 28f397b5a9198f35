"""The process that runs the app in development: `python -m nitro_py.dev.child`, started by `nitropy dev`.

It imports what every app needs before it is told which app: so it can stand by while another one serves.
The two talk over a socket, in lines of JSON. The first line to the child is its `ChildSpec`; then come live-reload
messages, `{"type": "look"}`, and `{"type": "retire"}` once another child serves in its place. The child answers
with `{"type": "debugger", "port": …}` if it has one, with `{"type": "ready"}` or with
`{"type": "failed", "message": …}`, and to each look with `{"type": "seen", "paused": …}`. After it was retired, it
sends `{"type": "closed"}` when it takes no more requests. It reports what fails, at any time, with
`{"type": "failure", "message": …, "html": …, "at": …}`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import IO, Any

from nitro_py.dev.child_handover import DevHandover
from nitro_py.dev.debugger import find_paused_thread, start_debugpy
from nitro_py.dev.error_pages import BrowserSwitch, ErrorReporter
from nitro_py.dev.live_reload import LiveReload, ReloadGuard
from nitro_py.dev.request_log import RequestLog, make_dev_log_config
from nitro_py.dev.script_injector import ScriptInjector
from nitro_py.errors import NitroError
from nitro_py.event import Scope
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.asgi.internal_routes import INTERNAL_PREFIX
from nitro_py.runtime.containment import contain
from nitro_py.runtime.http.dispatch import strip_root
from nitro_py.runtime.manifest import read_manifest
from nitro_py.runtime.settings import DATA_DIR, DATA_FOLDER
from nitro_py.server.uvicorn_server import serve


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What a child serves.

    Args:
        listener: The file descriptor of the bound socket.
        inbox: That of the socket from which it takes the connections of the child before it.
        outbox: That of the socket by which it sends them to the child after it.
        folder: The bundle's `server/`.
        root: The project's folder.
        host: The address that the dev server listens on.
        script: The script that is added to pages.
        guard: The fields of the `ReloadGuard`, if the live-reload socket shares the app's port.
        number: The number of the app: the next one has the next.
        debug: Whether debugpy waits for a client.
    """

    listener: int
    inbox: int
    outbox: int
    folder: str
    root: str
    host: str
    script: str
    guard: dict[str, Any] | None
    number: int
    debug: bool


class DevApplication(Application):
    """The app in development, which reports to `nitropy dev` whether it serves.

    Args:
        app: The app.
        channel: The file that reports are written to.
        root: The project's folder.
        script: The script that is added to pages.
    """

    def __init__(self, app: App, channel: IO[str], root: Path, script: str) -> None:
        super().__init__(app)
        self._channel = channel
        # The event loop reports, and so do the thread that listens to the parent and those of the app.
        self._lock = threading.Lock()
        self._reporter = ErrorReporter(app, root, self._report, script)
        self.loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Start the app."""
        self.loop = asyncio.get_running_loop()
        self._reporter.start()
        try:
            await super().start()
        except BaseException as raised:
            error = contain(raised)
            failed = {"type": "failed", "message": f"{type(error).__name__}: {error}"}
            if not isinstance(error, NitroError):
                # The message of one of ours is enough.
                failed["html"] = self._reporter.show(
                    self._reporter.report(error, "The app cannot start.", "Start")
                )
            self._report(failed)
            raise error from error.__cause__
        self._report({"type": "ready"})

    def report_closed(self) -> None:
        """Report that requests from now on are answered by another child."""
        self._report({"type": "closed"})

    def is_quiet(self, scope: Scope) -> bool:
        """Return whether a request is for a public file or one of our own paths, of which there are many."""
        return strip_root(scope).startswith(INTERNAL_PREFIX) or self._public.find(scope) is not None

    def report_debugger(self, port: int) -> None:
        """Report the port on which debugpy waits for a client."""
        self._report({"type": "debugger", "port": port})

    def report_pause(self) -> None:
        """Report whether a debugger waits for a person."""
        self._report({"type": "seen", "paused": find_paused_thread() is not None})

    def _report(self, message: Mapping[str, object]) -> None:
        with self._lock:
            self._channel.write(json.dumps(message) + "\n")
            self._channel.flush()


def main() -> None:
    """Serve the app until the parent stops it or ends."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    # Two files, because one thread reads while another writes.
    incoming, outgoing = connection.makefile("r", encoding="utf-8"), connection.makefile("w", encoding="utf-8")
    line = incoming.readline()
    if not line:
        # The parent has ended before it had an app for this process.
        return
    spec = ChildSpec(**json.loads(line))
    folder = Path(spec.folder)
    # Where a bundle runs, whoever starts it.
    os.chdir(folder)
    os.environ.setdefault(DATA_DIR, str(Path(spec.root) / DATA_FOLDER))
    name_project_files(folder, Path(spec.root))
    app = App(folder, read_manifest(folder))
    app.serve_locally(spec.host)
    application = DevApplication(app, outgoing, Path(spec.root), spec.script)
    if spec.debug:
        application.report_debugger(start_debugpy())
    live_reload = LiveReload(ReloadGuard(**spec.guard), spec.number) if spec.guard else None
    inbox, outbox = socket.socket(fileno=spec.inbox), socket.socket(fileno=spec.outbox)
    handover = DevHandover(inbox, outbox, finished=application.report_closed)
    threading.Thread(target=listen, args=(incoming, application, handover, live_reload), daemon=True).start()
    # The dev server reports starts and stops itself.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.levelno > logging.INFO)
    wrapper = RequestLog(
        ScriptInjector(BrowserSwitch(application), spec.script.encode(), live_reload),
        application.is_quiet,
        live_reload.guard.path if live_reload else None,
    )
    # The dev server says where it listens.
    serve(
        application,
        socket.socket(fileno=spec.listener),
        wrapper=wrapper,
        handover=handover,
        on_ready=lambda: None,
        log_config=None if app.settings.log.format == "json" else make_dev_log_config(app.settings.log),
    )


def listen(
    incoming: IO[str], application: DevApplication, handover: DevHandover, live_reload: LiveReload | None
) -> None:
    """Pass the parent's messages to pages; end this process when the parent says so, or is gone."""
    for line in incoming:
        message = json.loads(line)
        if message["type"] == "retire":
            handover.has_successor = True
            break
        if message["type"] == "look":
            application.report_pause()
        elif live_reload is not None and application.loop is not None:
            asyncio.run_coroutine_threadsafe(live_reload.announce(message), application.loop)
    os.kill(os.getpid(), signal.SIGTERM)


def name_project_files(folder: Path, root: Path) -> None:
    """Let this process compile modules of a bundle under the names of the files that they were copied from.

    Route files are loaded by path, past all finders, so that only the loader itself sees each of them.

    Args:
        folder: The bundle's `server/`.
        root: The project's folder.
    """
    compile_source, write = SourceFileLoader.source_to_code, SourceFileLoader.set_data

    def source_to_code(self: SourceFileLoader, data: Any, path: Any, **options: Any) -> Any:
        return compile_source(self, data, str(find_origin(Path(path), folder, root)), **options)

    def set_data(self: SourceFileLoader, path: str, data: Any, **options: Any) -> None:
        # Byte code from a cache would name the bundle's file.
        if not Path(path).is_relative_to(folder):
            write(self, path, data, **options)

    SourceFileLoader.source_to_code = source_to_code  # type: ignore[method-assign, assignment]
    SourceFileLoader.set_data = set_data  # type: ignore[method-assign]


def find_origin(file: Path, folder: Path, root: Path) -> Path:
    """Return the project's file that a file of the bundle was copied from, or else the file itself.

    Args:
        file: The file.
        folder: The bundle's `server/`.
        root: The project's folder.
    """
    if not file.is_relative_to(folder):
        return file
    origin = root / file.relative_to(folder)
    return origin if origin.is_file() else file


if __name__ == "__main__":
    main()
