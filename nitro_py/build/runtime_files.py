"""Which of nitro-py's own files ship in a bundle."""

from __future__ import annotations

from importlib.resources import files

from nitro_py.build.preset import collect_package

# What stands on the build side of the wall, and never travels.
BUILD_SIDE = frozenset({"build", "cli", "dev", "testing"})
GUIDE = "README.md"


def collect_runtime(preset_package: str, *modules: str) -> dict[str, bytes]:
    """Collects the public API, the runtime and a preset's own modules.

    Args:
        preset_package: The preset's package, such as `nitro_presets.asgi`.
        modules: Its files that ship, such as `entry.py`.

    Returns:
        Path below the bundle's import root → bytes.
    """
    names = sorted(entry.name for entry in files("nitro_py").iterdir())
    left = BUILD_SIDE | {GUIDE, "__pycache__"}
    shipped = tuple(name for name in names if name not in left)
    collected = collect_package("nitro_py", only=shipped)
    parent, _, _ = preset_package.rpartition(".")
    if parent:
        collected |= collect_package(parent, only=("__init__.py",))
    return collected | collect_package(preset_package, only=("__init__.py", *modules))
