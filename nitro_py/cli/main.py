"""The command `nitropy`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nitro_py import __version__
from nitro_py.cli.build import build, check
from nitro_py.cli.deploy import deploy
from nitro_py.cli.dev import dev
from nitro_py.cli.init import init
from nitro_py.cli.inspect import routes, schema
from nitro_py.cli.output import print_error, print_line
from nitro_py.cli.preview import preview
from nitro_py.cli.publish import publish
from nitro_py.errors import NitroError


def main() -> None:
    """Runs `nitropy`; what its user has done wrong is printed without a traceback, and ends it with 2."""
    try:
        make_app()()
    except NitroError as error:
        print_error(error)
        raise SystemExit(2) from None


def make_app() -> typer.Typer:
    """Puts the commands together."""
    plain = not (sys.stdout.isatty() and sys.stderr.isatty())
    app = typer.Typer(
        name="nitropy",
        callback=start,
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        # Otherwise typer draws boxes into files and pipes.
        rich_markup_mode=None if plain else "markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for command in (init, dev, build, preview, deploy, routes, check, publish):
        app.command()(command)
    config = typer.Typer(help="Show what can be configured.", no_args_is_help=True)
    config.command()(schema)
    app.add_typer(config, name="config")
    return app


def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Write HTTP, WebSocket and event-stream handlers once; build them for where they run."""
    if version:
        print_line(f"nitropy {__version__}")
    elif context.invoked_subcommand is None:
        print_line(context.get_help())
