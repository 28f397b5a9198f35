"""Starts a bundle: `python .output/server`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from nitro_py.errors import NitroError
from nitro_py.runtime.asgi.application import load_application
from nitro_py.runtime.ports import bind_port

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 3000


def main(folder: Path) -> None:
    """Serves the bundle in a folder until a signal stops it.

    Args:
        folder: The bundle's `server/`.
    """
    try:
        host, port = read_address()
        listener = bind_port(host, port)
    except NitroError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    # Imported last: a wrong flag is answered before the server's modules are loaded.
    from nitro_py.runtime.asgi.server import serve

    serve(load_application(folder), listener)


def read_address() -> tuple[str, int]:
    """Reads where to listen: `--host` and `--port`, else `HOST` and `PORT`, else 127.0.0.1:3000."""
    parser = argparse.ArgumentParser(prog="python .output/server", description="Serve this nitro-py bundle.")
    parser.add_argument("--host", default=os.environ.get("HOST") or DEFAULT_HOST, help="address to listen on")
    parser.add_argument(
        "--port",
        type=int,
        default=os.environ.get("PORT") or DEFAULT_PORT,
        help="port to listen on; 0 takes a free one",
    )
    arguments = parser.parse_args()
    return arguments.host, arguments.port
