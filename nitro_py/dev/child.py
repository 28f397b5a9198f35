"""The process that runs the app in development: `python -m nitro_py.dev.child`, started by `nitropy dev`.

The two talk over a socket, in lines of JSON. The first line to the child is its `ChildSpec`; then come live-reload
messages, and `{"type": "retire"}` once another child serves in its place. The child answers with
`{"type": "ready"}` or `{"type": "failed", "message": …}`, and after its retirement with `{"type": "closed"}`, when
it takes no more requests.
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
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from nitro_py.dev.handover import DevHandover
from nitro_py.dev.live_reload import LiveReload, ReloadGuard
from nitro_py.dev.script_injector import ScriptInjector
from nitro_py.dev.tracebacks import name_project_files
from nitro_py.runtime.app import App
from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.manifest import read_manifest
from nitro_py.server.uvicorn_server import serve


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """Says what a child serves.

    Args:
        listener: The file descriptor of the bound socket.
        inbox: The socket's from which it takes connections of the child before it.
        outbox: The socket's into which it puts them for the child after it.
        folder: The bundle's `server/`.
        script: What pages get.
        door: The live-reload socket's, where it shares the app's port.
    """

    listener: int
    inbox: int
    outbox: int
    folder: str
    script: str
    door: dict[str, Any] | None


class DevApplication(Application):
    """The app, and tells `nitropy dev` how it is.

    Args:
        app: The app to serve.
        channel: Where it is told.
    """

    def __init__(self, app: App, channel: IO[str]) -> None:
        super().__init__(app)
        self._channel = channel
        self.loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Start the app."""
        self.loop = asyncio.get_running_loop()
        try:
            await super().start()
        except Exception as error:
            self._tell({"type": "failed", "message": f"{type(error).__name__}: {error}"})
            raise
        self._tell({"type": "ready"})

    def tell_closed(self) -> None:
        """Tell that whoever asks from now on is answered by another child."""
        self._tell({"type": "closed"})

    def _tell(self, message: dict[str, str]) -> None:
        self._channel.write(json.dumps(message) + "\n")
        self._channel.flush()


def main() -> None:
    """Serve the app until the parent, or its end, stops it; the project's folder is the current one."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    # Two files, because one thread reads while another writes.
    heard, told = connection.makefile("r", encoding="utf-8"), connection.makefile("w", encoding="utf-8")
    order = ChildSpec(**json.loads(heard.readline()))
    folder = Path(order.folder)
    name_project_files(folder, Path.cwd())
    application = DevApplication(App(folder, read_manifest(folder)), told)
    live_reload = LiveReload(ReloadGuard(**order.door)) if order.door else None
    inbox, outbox = socket.socket(fileno=order.inbox), socket.socket(fileno=order.outbox)
    handover = DevHandover(inbox, outbox, finished=application.tell_closed)
    threading.Thread(target=listen, args=(heard, application, handover, live_reload), daemon=True).start()
    # Starts and stops are what the dev server tells of itself.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.levelno > logging.INFO)
    front = ScriptInjector(application, order.script.encode(), live_reload)
    serve(application, socket.socket(fileno=order.listener), front=front, handover=handover)


def listen(
    heard: IO[str], application: DevApplication, handover: DevHandover, live_reload: LiveReload | None
) -> None:
    """Hand the parent's messages on to pages, and end this process when told to or left alone."""
    for line in heard:
        message = json.loads(line)
        if message["type"] == "retire":
            handover.has_successor = True
            break
        if live_reload is not None and application.loop is not None:
            asyncio.run_coroutine_threadsafe(live_reload.announce(message), application.loop)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
