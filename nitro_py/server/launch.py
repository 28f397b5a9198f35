"""The start of a bundle from the command line, the same for every preset that ships a server."""

from __future__ import annotations

import argparse
import importlib
import logging.config
import os
import signal
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from nitro_py.brokers.registry import load_backplane
from nitro_py.errors import NitroError, UsageError
from nitro_py.runtime.manifest import VENDOR, Manifest, read_manifest
from nitro_py.runtime.settings import LOCAL, MEMORY, Settings
from nitro_py.server.ports import bind_port, format_url
from nitro_py.server.workers.shared_memory import make_snapshots
from nitro_py.server.workers.supervisor import (
    ALIVE,
    BROKER,
    READY,
    STOP_SIGNALS,
    WORKER,
    Supervisor,
    repeat_command,
    serve_worker,
)


def launch(folder: Path, *, host: str, port: int) -> None:
    """Serve the bundle in a folder until a signal stops it.

    Args:
        folder: The bundle's `server/`.
        host: The address to listen on without `--host` and `HOST`.
        port: The port without `--port` and `PORT`; 0 takes a free one.
    """
    # The server's modules are imported last: a wrong flag is answered at once, and a parent never loads them.
    try:
        arguments = read_arguments(host=host, port=port)
        if arguments.broker is not None:
            run_broker(folder, *arguments.broker)
            return
        if arguments.workers > 1 and arguments.worker is None:
            raise SystemExit(run_workers(folder, arguments))
        from nitro_py.runtime.asgi.application import load_application

        application = load_application(folder, only_process=arguments.worker is None)
        listener = bind_port(arguments.host, arguments.port) if arguments.worker is None else None
        check_packages(folder)
    except NitroError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if listener is None:
        serve_worker(application, *arguments.worker)
    else:
        from nitro_py.server.uvicorn_server import serve

        serve(application, listener)


def check_packages(folder: Path) -> None:
    """Import the server and the packages that it needs.

    Args:
        folder: The bundle's `server/`.

    Raises:
        UsageError: One of them is missing, or was built for another Python.
    """
    try:
        importlib.import_module("nitro_py.server.uvicorn_server")
    except ImportError as error:
        python = "{}.{}".format(*sys.version_info[:2])
        if (folder / VENDOR).is_dir():
            hint = f"Run the bundle with the Python that built it, or build it with {python}."
        else:
            install = f"{sys.executable} -m pip install -r {folder / 'requirements.txt'}"
            hint = f"Run `{install}`, or build with `--vendor`."
        raise UsageError(
            f"The bundle's packages cannot be imported by this Python, {python}: {error}.", hint=hint
        ) from None


def read_arguments(*, host: str, port: int) -> argparse.Namespace:
    """Read the command line, which wins over the environment, which wins over the defaults."""
    parser = argparse.ArgumentParser(prog="python .output/server", description="Serve this nitropy-kit bundle.")
    parser.add_argument("--host", default=os.environ.get("HOST") or host, help="address to listen on")
    parser.add_argument(
        "--port",
        type=int,
        default=os.environ.get("PORT") or port,
        help="port to listen on; 0 takes a free one",
    )
    parser.add_argument(
        "--workers",
        type=read_int,
        default=os.environ.get("NITRO_WORKERS") or 1,
        help="processes that share the port, and hear each other's topics",
    )
    # A parent starts its children with these: the arguments of `serve_worker` and `serve_broker`.
    parser.add_argument(WORKER, type=int, nargs="+", help=argparse.SUPPRESS)
    parser.add_argument(BROKER, type=int, nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def read_int(text: str) -> int:
    """Read a number of processes.

    Raises:
        argparse.ArgumentTypeError: It is no number, or below 1.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got `{text}`")
    return int(text)


def run_workers(folder: Path, arguments: argparse.Namespace) -> int:
    """Run several processes until a signal stops them, and return the exit status.

    Args:
        folder: The bundle's `server/`.
        arguments: The command line.

    Raises:
        NitroError: Topics would not reach all of them, or they cannot start.
    """
    if os.name != "posix":
        raise UsageError(
            f"Several workers need sockets that processes inherit, which this system (`{sys.platform}`) has not: "
            f"expected `--workers 1`, got {arguments.workers}.",
            hint="Start the bundle several times, on a port each, with a broker between them.",
        )
    manifest = read_manifest(folder)
    settings = Settings.from_json(manifest.settings)
    backplane = settings.backplane
    needs_broker = backplane.name == LOCAL or (backplane.name == MEMORY and uses_topics(manifest))
    if backplane.name != LOCAL or backplane.url:
        # What cannot be used is told once, and not by each worker.
        load_backplane(backplane._replace(name=LOCAL) if needs_broker and backplane.url else backplane)
    with ExitStack() as stack:
        broker = None
        if needs_broker:
            from nitro_py.server.workers.local_broker import format_broker_url, listen_privately

            broker = stack.enter_context(listen_privately())
            os.environ.update(NITRO_BACKPLANE=LOCAL, NITRO_BACKPLANE_URL=format_broker_url(broker))
        from nitro_py.server.logging import announce, make_log_config

        listener = bind_port(arguments.host, arguments.port)
        logging.config.dictConfig(make_log_config(settings.log))
        supervisor = Supervisor(
            repeat_command(),
            listener,
            count=arguments.workers,
            grace=settings.server.grace,
            snapshots=make_snapshots(arguments.workers) if settings.metrics else None,
            stuck_timeout=settings.server.stuck_timeout,
            on_ready=partial(announce, f"Listening on {format_url(listener)}", settings.log.format),
            broker=broker,
        )
        return supervisor.run()


def run_broker(folder: Path, listener: int, channel: int) -> None:
    """Carry the topics of the workers of a parent until all of them are gone.

    Args:
        folder: The bundle's `server/`.
        listener: The descriptor of the socket that workers connect to.
        channel: The descriptor of the socket to the parent.
    """
    from nitro_py.server.logging import make_log_config
    from nitro_py.server.workers.local_broker import serve_broker

    # It ends after the workers, whichever processes a signal reaches.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    settings = Settings.from_json(read_manifest(folder).settings)
    logging.config.dictConfig(make_log_config(settings.log))
    serve_broker(listener, channel, READY, ALIVE)


def uses_topics(manifest: Manifest) -> bool:
    """Return whether clients can subscribe to topics; an app that only answers requests needs no backplane."""
    return any(route.kind == "websocket" or "topics.sse" in route.requires for route in manifest.routes)
