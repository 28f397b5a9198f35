"""Walking the project's folders without leaving the project, and matching globs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from nitro_py.build.bundle.exclude import is_secret
from nitro_py.errors import BuildError


def walk_files(
    root: Path, folder: PurePosixPath, *, keep: Callable[[PurePosixPath], bool]
) -> Iterator[PurePosixPath]:
    """Walk the files below a folder, following links that stay inside the root.

    Args:
        root: The project's folder.
        folder: Where to start, relative to the root.
        keep: Returns whether a file is wanted or a folder is entered, by its path relative to the root.

    Returns:
        The files, relative to the root, in an order that depends on their names only.

    Raises:
        BuildError: A link leaves the root, leads nowhere, in a circle or to a secret; or a folder is unreadable.

    Example:
        >>> from tempfile import mkdtemp
        >>> list(walk_files(Path(mkdtemp()), PurePosixPath("."), keep=lambda path: True))
        []
    """
    base = root.resolve()
    yield from _walk(base, folder, keep, (check_link(base, folder),))


def check_link(base: Path, relative: PurePosixPath) -> Path:
    """Return the real place of a path of the project.

    Args:
        base: The project's folder, resolved.
        relative: The path, relative to it.

    Returns:
        The absolute path behind every link on the way.

    Raises:
        BuildError: A link leaves the project, leads nowhere, in a circle or to a secret.
    """
    hint = "Replace the link with a copy of what it points to, or delete it."
    try:
        real = (base / relative).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        message = f"`{relative}` is a link that leads nowhere."
        raise BuildError(message, file=str(relative), hint=hint) from error
    if not real.is_relative_to(base):
        message = f"`{relative}` is a link that leaves the project."
        raise BuildError(message, file=str(relative), hint=hint)
    target = PurePosixPath(real.relative_to(base).as_posix())
    if target != relative and is_secret(target):
        message = f"`{relative}` is a link to `{target}`, which never goes into a bundle."
        raise BuildError(message, file=str(relative), hint="Delete the link.")
    return real


def read_file(root: Path, relative: PurePosixPath | str) -> bytes:
    """Read a file of the project.

    Args:
        root: The project's folder.
        relative: The file, relative to it.

    Raises:
        BuildError: It may not be read, or has gone since it was found.
    """
    try:
        return (root / relative).read_bytes()
    except OSError as error:
        message = f"`{relative}` cannot be read: {error.strerror}."
        raise BuildError(message, file=str(relative), hint="Make it a file that you may read.") from error


def match_globs(relative: PurePosixPath, globs: Iterable[str]) -> bool:
    """Return whether a glob matches a path or a folder above it.

    Args:
        relative: A relative path.
        globs: Patterns with `/` between folders; `**` stands for any number of folders.

    Example:
        >>> match_globs(PurePosixPath("api/drafts/a.py"), ["**/drafts"])
        True
        >>> match_globs(PurePosixPath("api/a_test.py"), ["*_test.py"])
        False
    """
    return any(_match(relative.parts, PurePosixPath(glob).parts) for glob in globs)


def _walk(
    base: Path, folder: PurePosixPath, keep: Callable[[PurePosixPath], bool], above: tuple[Path, ...]
) -> Iterator[PurePosixPath]:
    try:
        entries = sorted((base / folder).iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        message = f"The folder `{folder}` cannot be read: {error.strerror}."
        raise BuildError(message, file=str(folder), hint="Make it a folder that you may read.") from error
    for entry in entries:
        relative = folder / entry.name
        if not keep(relative):
            continue
        real = check_link(base, relative) if entry.is_symlink() else above[-1] / entry.name
        if entry.is_file():
            yield relative
        elif real in above:
            message = f"`{relative}` is a link to a folder that it is in."
            raise BuildError(message, file=str(relative), hint="Delete the link.")
        elif entry.is_dir():
            yield from _walk(base, relative, keep, (*above, real))


def _match(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_match(parts[index:], pattern[1:]) for index in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _match(parts[1:], pattern[1:])
