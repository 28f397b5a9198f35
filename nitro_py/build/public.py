"""Collecting the files of `public/`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from nitro_py.build.exclude import travels
from nitro_py.errors import BuildError


def collect_public(root: Path, public_dir: str) -> dict[str, bytes]:
    """Reads the files that are served as they are.

    Args:
        root: The project's folder.
        public_dir: The folder, relative to it; it need not exist.

    Returns:
        Path below the folder → bytes, sorted.

    Raises:
        BuildError: A symbolic link leads out of the folder.
    """
    folder = root / public_dir
    if not folder.is_dir():
        return {}
    base = folder.resolve()
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        relative = PurePosixPath(path.relative_to(folder).as_posix())
        if not path.resolve().is_relative_to(base):
            place = path.relative_to(root).as_posix()
            raise BuildError(
                f"`{place}` is a symbolic link out of `{public_dir}`: its target would be served to everybody.",
                file=place,
                hint="Copy the file into the folder, or remove the link.",
            )
        if path.is_file() and travels(relative):
            found[str(relative)] = path.read_bytes()
    return found
