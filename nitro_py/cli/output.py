"""What commands print: rich on a terminal, plain text elsewhere."""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nitro_py.build.config.secret_names import MASK
from nitro_py.errors import NitroError

console = Console(highlight=False, markup=False, emoji=False)
# What is said on the way goes to stderr, so that stdout holds the result alone.
messages = Console(highlight=False, markup=False, emoji=False, stderr=True)
# The longest line of a source that is quoted, in characters.
MAX_QUOTED = 200
# Characters that control a terminal, but for the tab and the end of a line.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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


def print_timed(text: str, *, style: str | None = None) -> None:
    """Print what has happened, behind the time."""
    line = Text(time.strftime("%H:%M:%S  "), style="dim")
    line.append(text, style=f"not dim {style or ''}")
    console.print(line, soft_wrap=True)


def print_error(error: NitroError, *, root: Path | None = None) -> None:
    """Print an error of the user's, with the line of the source that it is about.

    Args:
        error: The error.
        root: The folder that the error's file is relative to; by default the current one.
    """
    text = Text("error: ", style="bold red")
    place, *rest = _split_place(error)
    text.append(place, style="not bold default")
    messages.print(text, soft_wrap=True)
    quoted: list[Text] = []
    # The line of a secret that the message hides would show it.
    if error.file is not None and error.line is not None and MASK not in error.message:
        source = _read_source((root or Path()) / error.file)
        quoted = quote_source(source, error.file, error.line)
        for line in quoted:
            messages.print(line, soft_wrap=True)
    # Where no source can be shown, the hint may be the line itself.
    if rest and not (quoted and rest[0].startswith("  hint: Look at: ")):
        messages.print(Text("\n".join(rest)), soft_wrap=True)


def quote_source(source: str, file: str, number: int) -> list[Text]:
    r"""Quote a line of a file, with marks below what is wrong in it.

    Args:
        source: The text of the file.
        file: Its name.
        number: The line, counted from 1.

    Example:
        >>> for line in quote_source("import a\ndef f(:\n", "a.py", 2): print(line.plain)
             |
           2 | def f(:
             |       ^
    """
    lines = source.splitlines()
    if not 0 < number <= len(lines) or not lines[number - 1].strip():
        return []
    start, end = _find_span(source, file, number)
    shown = replace_controls(lines[number - 1].rstrip())[:MAX_QUOTED]
    # A tab stays a tab above its mark, however wide the terminal makes it.
    indent = "".join(character if character == "\t" else " " for character in shown[:start])
    bar = Text(f"  {'':{len(str(number))}} | ", style="dim")
    mark = Text.assemble(bar, (indent + "^" * max(1, min(end, len(shown)) - start), "bold red"))
    quoted = Text.assemble((f"  {number} | ", "dim"), (shown, "not dim"))
    return [Text(bar.plain.rstrip(), style="dim"), quoted, mark]


def replace_controls(text: str) -> str:
    r"""Replace characters that control a terminal, but for tabs and the ends of lines.

    Example:
        >>> replace_controls("a\x1b[2Jb")
        'a\ufffd[2Jb'
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _find_span(source: str, file: str, number: int) -> tuple[int, int]:
    """Find the columns that an error is about: those that Python names, or the whole statement."""
    line = source.splitlines()[number - 1]
    if file.endswith(".py"):
        try:
            ast.parse(source)
        except SyntaxError as error:
            if error.lineno == number and error.offset:
                end = error.end_offset if error.end_lineno == number and error.end_offset else 0
                return error.offset - 1, max(error.offset, end - 1)
        except ValueError:
            pass
    return len(line) - len(line.lstrip()), len(line.rstrip())


def _read_source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _split_place(error: NitroError) -> list[str]:
    """Split an error's text into what stands before the source line, and the hint."""
    text, hint = str(error), f"\n  hint: {error.hint}"
    return [text.removesuffix(hint), hint[1:]] if error.hint is not None else [text]


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
