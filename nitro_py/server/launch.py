"""The start of a bundle from the command line, the same for every preset that ships a server."""

from __future__ import annotations

import argparse
import importlib
import logging.config
import os
import sys
from functools import partial
from pathlib import Path

from nitro_py.brokers.registry import load_backplane
from nitro_py.errors import NitroError, UsageError
from nitro_py.runtime.manifest import VENDOR, Manifest, read_manifest
from nitro_py.runtime.settings import MEMORY, Settings
from nitro_py.server.ports import bind_port, format_url
from nitro_py.server.workers.shared_memory import make_snapshots
from nitro_py.server.workers.supervisor import Supervisor, repeat_command, serve_worker


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
        if arguments.workers > 1 and arguments.worker is None:
            raise SystemExit(run_workers(folder, arguments))
        from nitro_py.runtime.asgi.application import load_application

        application = load_application(folder)
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
        help="processes that share the port; more than one needs a backplane for its topics",
    )
    # A parent starts its workers with this: the arguments of `serve_worker`.
    parser.add_argument("--worker", type=int, nargs="+", help=argparse.SUPPRESS)
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
    manifest = read_manifest(folder)
    settings = Settings.from_json(manifest.settings)
    if load_backplane(settings.backplane) is None and uses_topics(manifest):
        raise UsageError(
            f"{arguments.workers} workers would not hear each other's topics: "
            f"expected a backplane, got `{MEMORY}`, which keeps them in one process.",
            hint='Build with `backplane = "redis"` or `"nats"`, and set `NITRO_BACKPLANE_URL=redis://HOST`.',
        )
    from nitro_py.server.logging import announce, make_log_config

    listener = bind_port(arguments.host, arguments.port)
    command = [*repeat_command(), "--worker"]
    logging.config.dictConfig(make_log_config(settings.log))
    supervisor = Supervisor(
        command,
        listener,
        count=arguments.workers,
        grace=settings.server.grace,
        snapshots=make_snapshots(arguments.workers) if settings.metrics else None,
        stuck_timeout=settings.server.stuck_timeout,
        on_ready=partial(announce, f"Listening on {format_url(listener)}", settings.log.format),
    )
    return supervisor.run()


def uses_topics(manifest: Manifest) -> bool:
    """Return whether clients can subscribe to topics; an app that only answers requests needs no backplane."""
    return any(route.kind == "websocket" or "topics.sse" in route.requires for route in manifest.routes)
