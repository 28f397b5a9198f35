"""The command `nitropy`."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from nitro_py import __version__
from nitro_py.cli.output import print_error, print_line
from nitro_py.errors import NitroError


class CommandSet(NamedTuple):
    """Commands below one name.

    Args:
        help: What they are for.
        commands: Their names, and the functions that run them, in the module of the set's name.
    """

    help: str
    commands: dict[str, str]


# The commands in the order in which help lists them, and the modules that have them.
COMMANDS = {
    "init": "init",
    "dev": "dev",
    "build": "build",
    "preview": "preview",
    "deploy": "deploy",
    "logs": "logs",
    "destroy": "destroy",
    "routes": "routes",
    "check": "build",
    "publish": "publish",
}

# The commands in groups, and the functions that run them.
GROUPS = {
    "storage": CommandSet(
        "Read and change the storages of the app.",
        {"get": "get_value", "set": "set_value", "list": "list_keys", "clear": "clear_keys"},
    ),
    "config": CommandSet("Show what is configured, and what can be.", {"show": "show", "schema": "schema"}),
}


# What other tools call our commands.
ALIASES = {
    "create": "init",
    "develop": "dev",
    "lint": "check",
    "new": "init",
    "remove": "destroy",
    "run": "dev",
    "runserver": "dev",
    "serve": "dev",
    "server": "dev",
    "start": "dev",
    "tail": "logs",
    "validate": "check",
    "watch": "dev",
}


class CommandGroup(TyperGroup):
    """The group of the commands, which knows what other tools call them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is meant, or refuse with its name."""
        meant = ALIASES.get(args[0]) if args else None
        if meant is not None and args[0] not in self.commands:
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{meant}'?")
        return super().resolve_command(ctx, args)


def main() -> None:
    """Run `nitropy`; print a `NitroError` without a traceback, and exit with status 2."""
    try:
        make_app(sys.argv[1:])()
    except NitroError as error:
        print_error(error)
        raise SystemExit(2) from None


def make_app(arguments: Sequence[str]) -> typer.Typer:
    """Put the commands together.

    Args:
        arguments: What follows `nitropy`; a command that comes first is loaded without the others.
    """
    wanted = arguments[0] if arguments else None
    app = typer.Typer(
        name="nitropy",
        cls=CommandGroup,
        callback=start,
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        # typer's boxes are too narrow for what we say in a terminal of 80 columns.
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name in COMMANDS:
        if name == wanted:
            # What only the bundle's own program knows, such as the faults of a gateway, is handed on to it.
            further = {"allow_extra_args": True, "ignore_unknown_options": True} if name == "preview" else {}
            app.command(context_settings=further)(_load_with_options(name, arguments[1:], name))
        elif wanted not in COMMANDS:
            listed = _make_listed(name)
            # Otherwise the list would be cut off at its right.
            app.command(short_help=inspect.getdoc(listed))(listed)
    if wanted not in COMMANDS:
        for name, group in GROUPS.items():
            commands = typer.Typer(help=group.help, no_args_is_help=True)
            if name == wanted:
                for command, function in group.commands.items():
                    chosen = arguments[1:2] == [command]
                    shown = _load_with_options(name, arguments[2:] if chosen else (), function)
                    commands.command(command, short_help=inspect.getdoc(shown))(shown)
            app.add_typer(commands, name=name)
    return app


def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Write HTTP, WebSocket and event-stream handlers once; build them for where they run."""
    if version:
        print_line(f"nitropy {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print_line(context.get_help())


def _load_with_options(name: str, arguments: Sequence[str], function: str) -> Callable[..., None]:
    command = _load(COMMANDS.get(name, name), function)
    if name not in ("build", "deploy", "destroy", "logs", "publish", "storage"):
        return command
    # Imported here: no other command has options of presets.
    from nitro_py.cli.preset_options import add_options

    return add_options(command, name, arguments)


def _make_listed(name: str) -> Callable[[], None]:
    """Return a command that help can list, without importing what the command itself needs."""
    spec = find_spec(f"nitro_py.cli.{COMMANDS[name]}")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_bytes())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}

    def command() -> None: ...

    command.__name__, command.__doc__ = name, ast.get_docstring(functions[name])
    return command


def _load(module: str, name: str) -> Callable[..., None]:
    command: Callable[..., None] = getattr(import_module(f"nitro_py.cli.{module}"), name)
    return command
