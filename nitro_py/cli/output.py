"""What commands print: rich on a terminal, plain text elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nitro_py.errors import NitroError

console = Console(highlight=False, markup=False, emoji=False)
# What is said on the way goes to stderr, so that stdout holds the result alone.
messages = Console(highlight=False, markup=False, emoji=False, stderr=True)


@contextmanager
def show_progress() -> Iterator[Callable[[str], None]]:
    """Show what is being done: a spinner on a terminal, a line each elsewhere.

    Returns:
        A function to call with each stage that begins.

    Example:
        with show_progress() as progress:
            progress("Scanning handlers")
    """
    if not messages.is_terminal:
        yield lambda stage: print_line(f"{stage} ...", to=messages)
        return
    with messages.status("Starting ...") as status:
        yield lambda stage: status.update(Text(f"{stage} ..."))


def print_line(text: str = "", *, style: str | None = None, to: Console = console) -> None:
    """Print text; only a terminal sees its style, and only there may long lines be wrapped."""
    to.print(text, style=style, soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON document, for scripts."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table.

    Args:
        columns: The names of the columns.
        rows: The cells of each row.
        right: The numbers of the columns that are aligned to the right.
    """
    if not console.is_terminal:
        widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
        for row in (columns, *rows):
            print(_align(row, widths, right))
        return
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def print_error(error: NitroError) -> None:
    """Print an error of the user's."""
    text = Text("error: ", style="bold red")
    text.append(str(error), style="not bold default")
    messages.print(text, soft_wrap=True)


def print_note(text: str) -> None:
    """Print what a command found on the way, and what its user may want to know."""
    print_line(text, to=messages)


def print_warning(text: str) -> None:
    """Print what does not stop a command, and what its user should know."""
    print_line(f"warning: {text}", style="yellow", to=messages)


def _align(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if number in right else cell.ljust(width)
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
