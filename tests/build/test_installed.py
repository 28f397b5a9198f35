"""Dependencies that an earlier build has installed."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nitro_py.build.bundle import installed as installed_module
from nitro_py.build.bundle.installed import find_cache, open_installed
from nitro_py.build.bundle.vendor import vendor
from nitro_py.errors import BuildError
from tests.build.project_files import write_wheel
from tests.build.test_dependencies import read_tree


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return each test a cache and an index of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    return find_cache()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """List what is really installed."""
    seen: list[Sequence[str]] = []

    def watched(requirements: Sequence[str], target: Path, **options: Any) -> None:
        seen.append(requirements)
        vendor(requirements, target, **options)

    monkeypatch.setattr(installed_module, "vendor", watched)
    return seen


def install(*requirements: str, **options: Any) -> dict[str, bytes]:
    """Install requirements, and read what is there."""
    with open_installed(requirements, **options) as folder:
        return read_tree(folder)


def test_unchanged_dependencies_are_installed_once(tmp_path: Path, cache: Path, runs: list[Sequence[str]]) -> None:
    for name in ("animals", "goods"):
        write_wheel(tmp_path, name)
    told: list[str] = []
    first = install("animals==1.0", "goods==1.0", installing=lambda: told.append("first"))
    assert "animals/__init__.py" in first
    assert install("goods==1.0", "animals==1.0", installing=lambda: told.append("second")) == first
    assert (len(runs), told) == (1, ["first"])
    assert install("animals==1.0") != first
    assert install("animals==1.0", "goods==1.0", python_version="3.13", platform="aarch64-manylinux2014") == first
    assert len(runs) == 3
    # Nothing half done is left beside them.
    assert len(list(cache.iterdir())) == 3
    # What is in there runs in production: no other user may put anything beside it.
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_failed_installation_is_not_kept(cache: Path, runs: list[Sequence[str]]) -> None:
    for _ in range(2):
        with pytest.raises(BuildError, match="cannot be installed"):
            install("nowhere==1.0")
    assert len(runs) == 2
    assert list(cache.iterdir()) == []


def test_content_of_an_address_may_change(tmp_path: Path, cache: Path, runs: list[Sequence[str]]) -> None:
    requirement = write_wheel(tmp_path, "animals")
    assert install(requirement) == install(requirement) != {}
    assert len(runs) == 2
    assert list(cache.iterdir()) == []


def test_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, cache: Path, runs: list[Sequence[str]]
) -> None:
    write_wheel(tmp_path, "animals")
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder would be")
    assert install("animals==1.0") == install("animals==1.0") != {}
    assert len(runs) == 2


def test_what_no_build_asks_for_is_forgotten(tmp_path: Path, cache: Path, runs: list[Sequence[str]]) -> None:
    for name in ("animals", "goods", "plants"):
        write_wheel(tmp_path, name)
    install("animals==1.0")
    install("goods==1.0")
    long_ago = time.time() - 40 * 24 * 3600
    for entry in cache.iterdir():
        os.utime(entry, (long_ago, long_ago))
    install("goods==1.0")
    install("plants==1.0")
    assert len(list(cache.iterdir())) == 2
    install("goods==1.0")
    assert len(runs) == 3
    install("animals==1.0")
    assert len(runs) == 4
