"""Keeping installed dependencies from one build to the next."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nitro_py.build.bundle.vendor import vendor
from nitro_py.build.preset import OtherTarget

# Another layout of what is kept needs another number.
_FORMAT = 2
# How long what no build asks for is kept, in seconds.
_UNUSED = 30 * 24 * 3600.0


@contextmanager
def open_installed(
    requirements: Sequence[str],
    *,
    python_version: str | None = None,
    platform: str | None = None,
    glibc: tuple[int, int] | None = None,
    others: Sequence[OtherTarget] = (),
    installing: Callable[[], None] = lambda: None,
) -> Iterator[Path]:
    """Return a folder in which pinned requirements are installed; what an earlier build installed is used again.

    Kept are folders below `nitropy-kit/` in the user's cache, by the pins and the target. A requirement that
    stands at an address whose content may change is installed each time.

    Args:
        requirements: Every package that is wanted, as `pin_requirements` gives them.
        python_version: The target's Python, such as `3.13`; by default the running one.
        platform: The target's platform in uv's words; by default the running one.
        glibc: The target's C library, where uv has no name for a platform with that very one.
        others: What else could be chosen, for packages that have no wheel for this target.
        installing: Called before anything is installed.

    Returns:
        The folder, which is not to be changed.

    Raises:
        BuildError: A dependency cannot be installed.
    """
    kept = find_cache() / name_key(requirements, python_version, platform)
    if kept.is_dir():
        with contextlib.suppress(OSError):
            os.utime(kept)
        yield kept
        return
    installing()
    with _open_stage(kept.parent) as stage:
        tree = stage / "tree"
        vendor(requirements, tree, python_version=python_version, platform=platform, glibc=glibc, others=others)
        # A cache that cannot be written, or another build that was quicker, changes nothing for this one.
        with contextlib.suppress(OSError):
            if all(" @ " not in requirement or "@ git+" in requirement for requirement in requirements):
                tree.rename(kept)
                _forget_unused(kept.parent)
        yield tree if tree.exists() else kept


def find_cache() -> Path:
    """Return the folder of what is kept (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "nitropy-kit" / "installed"


def name_key(requirements: Sequence[str], python_version: str | None, platform: str | None) -> str:
    """Name what is installed for a target, by all that it depends on."""
    target = (
        python_version or "{}.{}".format(*sys.version_info[:2]),
        platform or f"{sysconfig.get_platform()} {sysconfig.get_config_var('SOABI')}",
    )
    return hashlib.sha256(json.dumps([_FORMAT, sorted(requirements), target]).encode()).hexdigest()


@contextmanager
def _open_stage(cache: Path) -> Iterator[Path]:
    """Make a folder beside what is kept, or elsewhere if there is no room."""
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        stage = tempfile.mkdtemp(prefix=".", dir=cache)
    except OSError:
        stage = tempfile.mkdtemp()
    try:
        yield Path(stage)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _forget_unused(cache: Path) -> None:
    for entry in cache.iterdir():
        # What a build that was killed has left is there too.
        if time.time() - entry.stat().st_mtime > _UNUSED:
            shutil.rmtree(entry, ignore_errors=True)
