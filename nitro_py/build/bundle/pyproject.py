"""Checking that a project is built by a Python that it is made for."""

from __future__ import annotations

import platform
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from nitro_py.build.config.toml_lines import find_lines
from nitro_py.errors import BuildError

NAME = "pyproject.toml"


class PyProject(NamedTuple):
    """The file of a project.

    Args:
        text: The file's text.
        project: The value of `project`, which should be a table.
    """

    text: str
    project: Any


def read_pyproject(root: Path) -> PyProject | None:
    """Read the file of a project; `None` if it has none.

    Args:
        root: The project's folder, whose configuration has been read: the file is TOML.
    """
    file = root / NAME
    if not file.is_file():
        return None
    # Editors on Windows begin a file with a mark.
    text = file.read_text(encoding="utf-8-sig")
    return PyProject(text, tomllib.loads(text).get("project", {}))


def check_python(root: Path) -> None:
    """Check that the project's `requires-python` allows this Python, as installers do.

    The build imports the handlers with this Python: another version may report errors that are not there.

    Args:
        root: The project's folder; its `pyproject.toml` is read, if there is one.

    Raises:
        BuildError: This Python is left out, or the setting cannot be read.
    """
    found = read_pyproject(root)
    wanted = (
        found.project.get("requires-python") if found is not None and isinstance(found.project, dict) else None
    )
    if found is None or wanted is None:
        return
    line = find_lines(found.text).get(("project", "requires-python"))
    running = platform.python_version()
    try:
        if not isinstance(wanted, str):
            raise InvalidSpecifier
        suits = SpecifierSet(wanted).contains(running, prereleases=True)
    except InvalidSpecifier:
        message = f"`project.requires-python` cannot be read: expected such as `>=3.11`, got `{wanted}`."
        raise BuildError(message, file=NAME, line=line) from None
    if not suits:
        raise BuildError(
            f"This Python does not suit the project: expected `{wanted}`, got {running}.",
            file=NAME,
            line=line,
            hint="Install nitropy-kit into a virtual environment of such a Python, and run `nitropy` there.",
        )
