"""Collecting the files of `public/`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from nitro_py.build.exclude import travels
from nitro_py.build.tree import read_file, walk_files
from nitro_py.errors import BuildError


def collect_public(root: Path, public_dir: str) -> dict[str, bytes]:
    """Reads the files that are served as they are.

    Args:
        root: The project's folder.
        public_dir: The folder, relative to it; it need not exist.

    Returns:
        Path below the folder → bytes, sorted.

    Raises:
        BuildError: A symbolic link leads out of the folder, nowhere or in a circle.
    """
    if not (root / public_dir).is_dir():
        return {}
    folder = PurePosixPath(public_dir)
    base = (root / folder).resolve()
    found: dict[str, bytes] = {}
    for path in walk_files(root, folder, keep=lambda path: travels(path.relative_to(folder))):
        real = (root / path).resolve()
        if not real.is_relative_to(base):
            raise BuildError(
                f"`{path}` is a symbolic link out of `{public_dir}`: its target would be served to everybody.",
                file=str(path),
                hint="Copy the file into the folder, or remove the link.",
            )
        found[str(path.relative_to(folder))] = read_file(root, path)
    return found
