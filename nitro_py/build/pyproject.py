"""What a project says of itself in its `pyproject.toml`, beside the configuration."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

NAME = "pyproject.toml"


class PyProject(NamedTuple):
    """Is the file of a project.

    Args:
        text: The file's text.
        project: Its table `project`, or whatever stands in the place of that.
    """

    text: str
    project: Any


def read_pyproject(root: Path) -> PyProject | None:
    """Reads the file of a project; `None` if it has none.

    Args:
        root: The project's folder, whose configuration has been read: the file is TOML.
    """
    file = root / NAME
    if not file.is_file():
        return None
    # Editors on Windows begin a file with a mark.
    text = file.read_text(encoding="utf-8-sig")
    return PyProject(text, tomllib.loads(text).get("project", {}))
