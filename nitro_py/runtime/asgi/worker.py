"""A worker process, whose parent is a `Supervisor`."""

from __future__ import annotations

import os
import signal
import socket
import threading

from nitro_py.runtime.asgi.application import Application
from nitro_py.runtime.asgi.supervisor import READY


def serve_worker(application: Application, listener: int, channel: int) -> None:
    """Serves an app until a signal stops it, or its parent is gone.

    Args:
        application: The app.
        listener: The descriptor of the socket that it shares with the other workers.
        channel: The descriptor of the socket that leads to its parent.
    """
    from nitro_py.runtime.asgi.server import serve

    parent = socket.socket(fileno=channel)
    threading.Thread(target=stop_with_parent, args=(parent,), daemon=True).start()
    serve(application, socket.socket(fileno=listener), ready=lambda: parent.sendall(READY))


def stop_with_parent(parent: socket.socket) -> None:
    """Waits until the parent is gone, however it ended, then stops this process in peace."""
    # It writes nothing: what is read is the end.
    parent.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
