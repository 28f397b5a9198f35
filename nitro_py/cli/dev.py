"""`nitropy dev`."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from nitro_py.cli.output import print_error, print_line
from nitro_py.cli.project import find_root


def dev(
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on, in place of `dev.host`.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", help="Port, in place of `dev.port`; 0 takes a free one.")
    ] = None,
    hmr_port: Annotated[
        int | None, typer.Option("--hmr-port", help="Port of live reload, in place of `dev.hmr.port`.")
    ] = None,
) -> None:
    """Serve the project, and reload it at every change."""
    # Imported here: no other command needs a web server and a file watcher.
    from nitro_py.dev.server import DevServer

    overrides = {"dev.host": host, "dev.port": port, "dev.hmr.port": hmr_port}
    server = DevServer(find_root(), overrides, os.environ, say=print_line, fail=print_error)
    asyncio.run(server.run())
