"""Writing a bundle: all of it or nothing."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from nitro_py.build.bundle.tree import walk_files
from nitro_py.errors import BuildError
from nitro_py.runtime.manifest import INFO_NAME

# Every bundle has this file, and only a folder that has it is replaced.
MARKER = INFO_NAME
_FILE_MODE = 0o644
_PROGRAM_MODE = 0o755
_FOLDER_MODE = 0o755
_UNITS = ("kB", "MB", "GB")


def write_bundle(
    output: Path,
    files: Mapping[str, bytes],
    *,
    trees: Mapping[str, Path] | None = None,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Write a bundle, all or nothing: a failure leaves the last one as it was.

    Args:
        output: The folder to write; if it is there, it must be empty or hold a bundle.
        files: Path in the bundle, with slashes → bytes; `nitro.json` among them marks the folder as a bundle.
        trees: Path in the bundle → a folder that is copied there.
        finish: Called with the folder that becomes the bundle once all is in it.

    Raises:
        BuildError: A path leaves the bundle, two files are in each other's way, the output is something other
            than a bundle, or it cannot be written.

    Example:
        >>> from tempfile import mkdtemp
        >>> output = Path(mkdtemp()) / "output"
        >>> write_bundle(output, {"nitro.json": b"{}", "server/app.py": b""})
        >>> (output / "nitro.json").read_text()
        '{}'
    """
    check_output(output)
    with _explain(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        # Beside the output, so that both are on one file system and a rename is enough.
        stage = Path(tempfile.mkdtemp(prefix=f".{output.name.lstrip('.')}-", dir=output.parent))
        bundle, last = stage / "new", stage / "old"
        try:
            bundle.mkdir()
            _fill(bundle, files, trees or {})
            if finish is not None:
                finish(bundle)
            _swap(output, bundle, last)
        finally:
            # The last good output is in there only if it could not be put back.
            if output.exists() or not last.exists():
                shutil.rmtree(stage, ignore_errors=True)


def check_output(output: Path) -> None:
    """Check that a folder may be replaced by a bundle.

    Args:
        output: The folder, which need not exist.

    Raises:
        BuildError: It is a link, a file, or a folder with something other than a bundle in it.
    """
    hint = "Move it away, or set `output_dir` to another folder."
    with _explain(output):
        if output.is_symlink() or (output.exists() and not output.is_dir()):
            kind = "a link" if output.is_symlink() else "a file"
            message = f"The output folder `{output.name}` is {kind}."
            raise BuildError(message, file=str(output), hint=hint)
        if output.is_dir() and any(output.iterdir()) and not (output / MARKER).is_file():
            message = f"The output folder `{output.name}` holds files that no build wrote: it has no `{MARKER}`."
            raise BuildError(message, file=str(output), hint=hint)


@contextmanager
def _explain(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BuildError(
            f"The output folder `{output.name}` cannot be written: {error.strerror or error}.",
            file=str(output),
            hint="Make it a folder that you may write, or set `output_dir` to another one.",
        ) from error


def _fill(bundle: Path, files: Mapping[str, bytes], trees: Mapping[str, Path]) -> None:
    paths = OutputPaths(bundle)
    for name, content in sorted(files.items()):
        target = paths.reserve(_check_path(name))
        target.write_bytes(content)
        target.chmod(_FILE_MODE)
    for name, tree in sorted(trees.items()):
        folder = _check_path(name)
        for relative in walk_files(tree, PurePosixPath("."), keep=lambda path: True):
            source = tree / relative
            target = paths.reserve(folder / relative)
            shutil.copyfile(source, target)
            runs = source.stat().st_mode & stat.S_IXUSR
            target.chmod(_PROGRAM_MODE if runs else _FILE_MODE)
    for place, _, _ in os.walk(bundle):
        Path(place).chmod(_FOLDER_MODE)


def _check_path(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if str(path) != name or path.is_absolute() or ".." in path.parts or name == "." or set(name) & set("\\\0"):
        message = f"`{name}` is not a path in the bundle: expected a plain relative path with slashes."
        raise BuildError(message, file=name)
    return path


class OutputPaths:
    """The paths of a bundle that are in use: a file in the way of another is an error.

    Args:
        bundle: The folder that becomes the bundle.
    """

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle
        self._files: set[PurePosixPath] = set()
        self._folders: set[PurePosixPath] = set()

    def reserve(self, path: PurePosixPath) -> Path:
        """Return the place of a new file, which no other file may take from now on.

        Raises:
            BuildError: Something is in its way.
        """
        if path in self._files:
            raise _in_the_way(path, path)
        target = self._bundle / path
        # Some file systems take names for the same that are not.
        if os.path.lexists(target):
            message = f"`{path}` is both a file and a folder in the bundle, or there under a like name."
            raise BuildError(message, file=str(path), hint="Give the project's file another name.")
        if path.parent not in self._folders:
            for parent in path.parents:
                if parent in self._files:
                    raise _in_the_way(parent, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._folders.update(path.parents)
        self._files.add(path)
        return target


def _in_the_way(other: PurePosixPath, path: PurePosixPath) -> BuildError:
    message = f"Two files are in each other's way in the bundle: `{other}` and `{path}`."
    return BuildError(message, file=str(path), hint="Give the project's file another name.")


def _swap(output: Path, bundle: Path, aside: Path) -> None:
    if not output.exists():
        bundle.rename(output)
        return
    output.rename(aside)
    try:
        bundle.rename(output)
    except BaseException:
        aside.rename(output)
        raise


def format_size(size: int) -> str:
    """Return a size in bytes as text with a unit.

    Example:
        >>> format_size(999), format_size(1_234), format_size(5_600_000)
        ('999 B', '1.2 kB', '5.6 MB')
    """
    if size < 1000:
        return f"{size} B"
    value = size / 1000
    unit = 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value /= 1000
        unit += 1
    return f"{value:.1f} {_UNITS[unit]}"
