"""`nitropy dev`."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from nitro_py.cli.output import print_error, print_line, print_timed
from nitro_py.cli.project import find_root

if TYPE_CHECKING:
    from nitro_py.dev.server import Tone

STYLES: dict[Tone, str | None] = {"good": "green", "plain": None, "quiet": "dim", "warning": "yellow"}


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
    debug: Annotated[
        str | None,
        typer.Option("--debug", metavar="[HOST:]PORT", help="Let a debugger attach by debugpy, across reloads."),
    ] = None,
) -> None:
    """Serve the project, and reload it at every change."""
    # Imported here: no other command needs a web server and a file watcher.
    from nitro_py.dev.server import DevServer

    overrides = {"dev.host": host, "dev.port": port, "dev.hmr.port": hmr_port}

    def say(text: str, tone: Tone = "plain", *, timed: bool = True) -> None:
        if timed:
            print_timed(text, style=STYLES[tone])
        else:
            print_line(text, style=STYLES[tone])

    root = find_root()
    server = DevServer(root, overrides, os.environ, say=say, fail=partial(print_error, root=root), debug=debug)
    asyncio.run(server.run())
