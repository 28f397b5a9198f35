"""`nitropy init`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from nitro_py.cli.output import print_line
from nitro_py.errors import UsageError

# Keeps templates from being taken for code of this package.
SUFFIX = ".txt"
# Keeps git from reading the template's own `.gitignore`.
DOT = "dot-"


def init(folder: Annotated[str, typer.Argument(metavar="DIR", help="A new or empty folder.")]) -> None:
    """Write a small app: a chat, an event stream, an HTTP route, a page and a test."""
    root = Path(folder)
    contents = dict(read_templates())
    try:
        check_empty(root)
        for name, content in contents.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "Choose a folder that you may write."
        raise UsageError(f"`{folder}` cannot be written: {reason}.", file=error.filename, hint=hint) from error
    for name in contents:
        print_line(f"Wrote {root / name}")
    print_line()
    print_line(f"Try it: {'' if root == Path('.') else f'cd {shlex.quote(folder)} && '}nitropy dev")


def check_empty(root: Path) -> None:
    """Check that nothing can be lost in a folder.

    Args:
        root: The folder, which need not exist.

    Raises:
        UsageError: There is something in it, or it is a file.
    """
    if root.is_symlink() or root.exists():
        if not root.is_dir():
            raise UsageError(f"`{root}` is a file.", hint="Name a new or empty folder.")
        found = sorted(path.name for path in root.iterdir())
        if found:
            message = f"`{root}` is not empty: it has `{found[0]}`."
            raise UsageError(message, hint="Name a new or empty folder; nothing was written.")


def read_templates() -> Iterator[tuple[str, bytes]]:
    """Return the app's files: path and content, sorted by path."""
    return _walk(files("nitro_py.cli") / "templates", "")


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        else:
            name = entry.name.removesuffix(SUFFIX)
            name = "." + name.removeprefix(DOT) if name.startswith(DOT) else name
            yield prefix + name, entry.read_bytes()
