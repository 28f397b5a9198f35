"""A worker process, whose parent is a `Supervisor`."""

from __future__ import annotations

import os
import signal
import socket
import threading
from functools import partial

from nitro_py.runtime.asgi.application import Application
from nitro_py.server.workers.shared_memory import ConnectionCounts, SharedSnapshots
from nitro_py.server.workers.supervisor import READY


def serve_worker(
    application: Application, listener: int, channel: int, place: int, shares: int, board: int | None = None
) -> None:
    """Serve an app until a signal stops it, or its parent is gone.

    Args:
        application: The app.
        listener: The descriptor of the socket that it shares with the other workers.
        channel: The descriptor of the socket that leads to its parent.
        place: The worker's number, counted from 0; one that takes the place of another has the same.
        shares: The descriptor of the memory in which workers count their connections.
        board: The descriptor of the memory in which they leave their figures, if they are measured.
    """
    from nitro_py.server.uvicorn_server import serve

    parent = socket.socket(fileno=channel)
    threading.Thread(target=stop_with_parent, args=(parent,), daemon=True).start()
    app = application.app

    def begin() -> None:
        parent.sendall(READY)
        if board is not None and app.meter is not None:
            app.meter.workers = snapshots = SharedSnapshots(board, place)
            snapshots.keep(partial(app.take_snapshot, app.meter))

    serve(application, socket.socket(fileno=listener), on_ready=begin, counts=ConnectionCounts(shares, place))


def stop_with_parent(parent: socket.socket) -> None:
    """Wait until the parent is gone, however it ended, then stop this process in peace."""
    # It writes nothing: what is read is the end.
    parent.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
