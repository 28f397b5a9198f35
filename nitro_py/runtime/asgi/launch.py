"""Starting a bundle from the command line, the same for every preset that ships a server."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from nitro_py.errors import NitroError
from nitro_py.runtime.asgi.application import load_application
from nitro_py.runtime.ports import bind_port


def launch(folder: Path, *, host: str, port: int) -> None:
    """Serves the bundle in a folder until a signal stops it.

    Args:
        folder: The bundle's `server/`.
        host: Where to listen when neither `--host` nor `HOST` says.
        port: The port when neither `--port` nor `PORT` says; 0 takes a free one.
    """
    try:
        arguments = read_arguments(host=host, port=port)
        application = load_application(folder)
        listener = bind_port(arguments.host, arguments.port)
    except NitroError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    # Imported last: a wrong flag is answered before the server's modules are loaded.
    from nitro_py.runtime.asgi.server import serve

    serve(application, listener)


def read_arguments(*, host: str, port: int) -> argparse.Namespace:
    """Reads the command line, over the environment, over the defaults."""
    parser = argparse.ArgumentParser(prog="python .output/server", description="Serve this nitro-py bundle.")
    parser.add_argument("--host", default=os.environ.get("HOST") or host, help="address to listen on")
    parser.add_argument(
        "--port",
        type=int,
        default=os.environ.get("PORT") or port,
        help="port to listen on; 0 takes a free one",
    )
    return parser.parse_args()
