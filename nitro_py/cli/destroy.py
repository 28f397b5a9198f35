"""`nitropy destroy`."""

from __future__ import annotations

from typing import Annotated

import typer

from nitro_py.build.preset_commands import Destruction, OptionValues
from nitro_py.cli.deployed import find_deployed
from nitro_py.cli.output import messages, print_line, print_table
from nitro_py.cli.project import PresetOption, load_project


def destroy(
    preset: PresetOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    data: Annotated[bool, typer.Option("--data", help="Delete what holds data of the app, too.")] = False,
    *,
    options: OptionValues,
) -> None:
    """Show what is deployed, and delete it."""
    loaded = load_project()
    left = find_deployed(loaded, preset, options, "destroy").destroy(
        Destruction(
            config=loaded.config,
            options=options,
            data=data,
            confirm=lambda question: yes or typer.confirm(question),
            report=lambda text: print_line(text, to=messages),
            show_table=print_table,
        )
    )
    if left is None:
        print_line("Nothing was deleted.")
        return
    print_line("Deleted.")
    for sentence in left:
        print_line(sentence)
