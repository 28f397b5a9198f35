"""Remembering that the last build failed, for the commands that use the bundle of the one before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nitro_py.build.config.load import LoadedConfig
from nitro_py.cli.output import print_warning
from nitro_py.cli.project import BuiltBundle
from nitro_py.dev.run_file import STATE_DIR, make_state_dir
from nitro_py.errors import UsageError
from nitro_py.runtime.manifest import INFO_NAME

_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


@contextmanager
def noting_failure(loaded: LoadedConfig) -> Iterator[None]:
    """Remember for the next command whether a build fails."""
    marker = _find_marker(loaded)
    try:
        yield
    except Exception:
        # A project that cannot be written has no bundle either.
        with suppress(OSError, UsageError):
            make_state_dir(loaded.root)
            marker.touch()
        raise
    with suppress(OSError):
        marker.unlink(missing_ok=True)


def warn_of_failure(loaded: LoadedConfig, built: BuiltBundle) -> None:
    """Say that a bundle is an old one, if the build after it has failed."""
    if _find_marker(loaded).exists():
        info = loaded.root / loaded.config.output_dir / INFO_NAME
        age = format_age(time.time() - info.stat().st_mtime)
        print_warning(
            f"The last build failed: this is the bundle of the one before, preset `{built.preset}`, "
            f"built {age} ago."
        )


def format_age(seconds: float) -> str:
    """Write a time for people.

    Example:
        >>> format_age(59), format_age(61), format_age(7300)
        ('less than a minute', '1 minute', '2 hours')
    """
    for unit, length in _UNITS:
        count = int(seconds // length)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


def _find_marker(loaded: LoadedConfig) -> Path:
    name = loaded.config.output_dir.replace("/", "-").strip(".")
    return loaded.root / STATE_DIR / f"failed-{name}"
