"""The files that ship in a bundle: nitropy-kit's own, a preset's, and the project's beside them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from nitro_py.errors import BuildError

# What a process needs beside the portable runtime to serve sockets itself.
SERVER_FOLDERS = ("brokers", "server", "stores")
# Beside the public modules; all other folders belong to the build, and never travel.
_PORTABLE_FOLDER = "runtime"
# The table of the public names, which the package reads.
_NAMES = "__init__.pyi"
# What only those who build use: the command, and what authors of presets import.
_BUILD_MODULES = ("__main__.py", "preset.py")


def collect_runtime(
    preset_package: str, *modules: str, folders: tuple[str, ...] = (), without: tuple[str, ...] = ()
) -> dict[str, bytes]:
    """Collect the public modules, the portable runtime, and a preset's own modules.

    Args:
        preset_package: The preset's package, such as `harbor`.
        modules: The files and folders of the preset that ship, such as `entry.py`.
        folders: The folders of `nitro_py` that ship beside `runtime`, such as `SERVER_FOLDERS`.
        without: What begins the paths of files that the target never imports.

    Returns:
        Path below the bundle's import root → bytes.
    """
    public = sorted(
        entry.name
        for entry in files("nitro_py").iterdir()
        if entry.name.endswith(".py") and entry.name not in _BUILD_MODULES
    )
    collected = collect_package("nitro_py", only=(*public, _NAMES, "py.typed", _PORTABLE_FOLDER, *folders))
    parent, _, _ = preset_package.rpartition(".")
    if parent:
        collected |= collect_package(parent, only=("__init__.py",))
    collected |= collect_package(preset_package, only=("__init__.py", *modules))
    return {path: data for path, data in collected.items() if not path.startswith(without)}


def collect_package(package: str, *, only: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Read the files of an installed package that ship: path below the import root → bytes.

    Args:
        package: The package's name, such as `nitro_py`.
        only: Its entries to take, files or folders; none takes all.
    """
    root = files(package)
    prefix = package.replace(".", "/")
    found: dict[str, bytes] = {}
    for entry in sorted(root.iterdir(), key=lambda item: item.name):
        if not only or entry.name in only:
            _collect(entry, prefix, found)
    return found


def merge_files(sources: Mapping[str, bytes], own: Mapping[str, bytes]) -> dict[str, bytes]:
    """Put the project's files and the bundle's own together.

    Raises:
        BuildError: A file of the project has the place of one of the bundle's.
    """
    clashes = sorted(sources.keys() & own.keys())
    if clashes:
        raise BuildError(
            f"`{clashes[0]}` of the project has the place of a file of the bundle.",
            file=clashes[0],
            hint="Rename it, or move it into a package.",
        )
    return {**sources, **own}


def _collect(entry: Traversable, prefix: str, found: dict[str, bytes]) -> None:
    path = f"{prefix}/{entry.name}"
    if entry.is_dir():
        if entry.name != "__pycache__":
            for child in sorted(entry.iterdir(), key=lambda item: item.name):
                _collect(child, path, found)
    elif not entry.name.endswith(".pyc"):
        found[path] = entry.read_bytes()
