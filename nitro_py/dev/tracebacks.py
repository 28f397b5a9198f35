"""Tracebacks and breakpoints of a running bundle that name the project's own files."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any


def name_project_files(folder: Path, root: Path) -> None:
    """Let this process compile modules of a bundle under the names of the files that they were copied from.

    Route files are loaded by path, past all finders, so that only the loader itself sees each of them.

    Args:
        folder: The bundle's `server/`.
        root: The project's folder.
    """
    compile_source, write = SourceFileLoader.source_to_code, SourceFileLoader.set_data

    def source_to_code(self: SourceFileLoader, data: Any, path: Any, **options: Any) -> Any:
        return compile_source(self, data, str(find_origin(Path(path), folder, root)), **options)

    def set_data(self: SourceFileLoader, path: str, data: Any, **options: Any) -> None:
        # Byte code from a cache would name the bundle's file.
        if not Path(path).is_relative_to(folder):
            write(self, path, data, **options)

    SourceFileLoader.source_to_code = source_to_code  # type: ignore[method-assign, assignment]
    SourceFileLoader.set_data = set_data  # type: ignore[method-assign]


def find_origin(file: Path, folder: Path, root: Path) -> Path:
    """Return the project's file that a file of the bundle was copied from, or else the file itself.

    Args:
        file: The file.
        folder: The bundle's `server/`.
        root: The project's folder.
    """
    if not file.is_relative_to(folder):
        return file
    origin = root / file.relative_to(folder)
    return origin if origin.is_file() else file
