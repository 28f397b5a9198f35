"""The files of nitropy-kit itself that ship in a bundle."""

from __future__ import annotations

from importlib.resources import files

from nitro_py.build.preset import collect_package

# What a process needs beside the portable runtime to serve sockets itself.
SERVER_FOLDERS = ("brokers", "server")
# Beside the public modules; all other folders belong to the build, and never travel.
_PORTABLE_FOLDER = "runtime"
# The table of the public names, which the package reads.
_NAMES = "__init__.pyi"
# The one public module for those who build.
_BUILD_MODULE = "preset.py"


def collect_runtime(preset_package: str, *modules: str, folders: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Collect the public modules, the portable runtime, and a preset's own modules.

    Args:
        preset_package: The preset's package, such as `nitro_presets.asgi`.
        modules: The files and folders of the preset that ship, such as `entry.py`.
        folders: The folders of `nitro_py` that ship beside `runtime`, such as `SERVER_FOLDERS`.

    Returns:
        Path below the bundle's import root → bytes.
    """
    public = sorted(
        entry.name
        for entry in files("nitro_py").iterdir()
        if entry.name.endswith(".py") and entry.name != _BUILD_MODULE
    )
    collected = collect_package("nitro_py", only=(*public, _NAMES, "py.typed", _PORTABLE_FOLDER, *folders))
    parent, _, _ = preset_package.rpartition(".")
    if parent:
        collected |= collect_package(parent, only=("__init__.py",))
    return collected | collect_package(preset_package, only=("__init__.py", *modules))
