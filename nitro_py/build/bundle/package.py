"""Making a folder of a bundle into a package: byte code beside its modules, and an archive."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

from nitro_py.build.bundle.tree import walk_files
from nitro_py.build.preset import PackagingStep
from nitro_py.errors import BuildError

# The earliest moment that a zip archive can name: archives must not tell when they were made.
EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(stage: Path, package: PackagingStep) -> None:
    """Make a package of a folder that is about to be a part of the output.

    Args:
        stage: The folder that becomes the output.
        package: What to make.

    Raises:
        BuildError: A module cannot be compiled.
    """
    folder = stage / package.folder
    for name in package.programs:
        # Other tools make archives of the folder too, and keep this bit.
        (folder / name).chmod(0o755)
    if package.bytecode:
        compile_modules(folder, home=package.home)
    if package.archive is not None:
        write_archive(folder, stage / package.archive, programs=package.programs)


def compile_modules(folder: Path, *, home: str) -> None:
    """Write byte code that Python loads without a look at its module, which halves the import of large packages.

    Follows PEP 552, unchecked hash-based `.pyc` files.

    Args:
        folder: The folder.
        home: Where it will be found when it runs.

    Raises:
        BuildError: The compiler itself fails.
    """
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", home]
    # In a process of its own: what was compiled before decides how the same code is marshalled.
    done = subprocess.run(
        [sys.executable, "-I", "-m", "compileall", *options, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    # Packages carry files for other versions of Python that cannot be compiled; nothing imports them.
    if done.returncode not in (0, 1):
        raise BuildError(f"Byte code cannot be written: {done.stderr.strip()[-500:]}")


def write_archive(folder: Path, archive: Path, *, programs: frozenset[str] = frozenset()) -> None:
    """Write a folder's files into a zip archive; the same files give the same bytes.

    Args:
        folder: The folder.
        archive: The file to write.
        programs: The paths in the folder of files that must be executable.
    """
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for path in walk_files(folder, PurePosixPath("."), keep=lambda path: True):
            entry = zipfile.ZipInfo(str(path), EPOCH)
            runs = str(path) in programs
            entry.external_attr = (0o100755 if runs else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, (folder / path).read_bytes(), compresslevel=9)
