"""Installing pinned requirements into a folder, for this machine or for another one."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import uv
from packaging.requirements import InvalidRequirement, Requirement

from nitro_py.build.preset import OtherTarget, VendoredDependencies
from nitro_py.errors import BuildError

# What uv writes about the machine and not about the package.
_NOISE = frozenset({"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
_SCRIPTS = ("bin", "Scripts")
_LAST_LINES = 8
_ONLY_WHEELS = ("--only-binary", ":all:")
# The lowest platform after each that uv knows: a wheel may be for one in between.
_NEXT_PLATFORM = {"manylinux2014": "manylinux_2_28", "manylinux_2_17": "manylinux_2_28"}
_GLIBC = re.compile(r"manylinux_(?P<major>\d+)_(?P<minor>\d+)_|manylinux(?P<old>1|2010|2014)_")
_OLD_GLIBC = {"1": (2, 5), "2010": (2, 12), "2014": (2, 17)}
# The same wheel is built from the same source: the earliest moment that a zip archive can name.
_EPOCH = "315532800"


def vendor(
    requirements: Sequence[str],
    target: Path,
    *,
    python_version: str | None = None,
    platform: str | None = None,
    glibc: tuple[int, int] | None = None,
    others: Sequence[OtherTarget] = (),
) -> None:
    """Install pinned requirements into a folder with uv, so that the same pins give the same files.

    For another platform wheels are installed. A package that has none for it is built from its source, if it turns
    out to hold no compiled code.

    Args:
        requirements: Every package that is wanted, as `pin_requirements` gives them.
        target: The folder, which is made.
        python_version: The target's Python, such as `3.13`; by default the running one.
        platform: The target's platform in uv's words, such as `aarch64-manylinux2014`; by default the running one.
        glibc: The target's C library, where uv has no name for a platform with that very one.
        others: What else could be chosen, for packages that have no wheel for this target.

    Raises:
        BuildError: uv is missing or fails, or no wheel fits the platform.
    """
    wanted = VendoredDependencies(str(target), tuple(requirements), python_version, platform, glibc, tuple(others))
    target.mkdir(parents=True, exist_ok=True)
    if wanted.requirements:
        _install(wanted, target)
    for name in _SCRIPTS:
        shutil.rmtree(target / name, ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
    for folder in sorted(target.rglob("__pycache__")):
        shutil.rmtree(folder)
    for info in sorted(target.glob("*.dist-info")):
        for name in _NOISE:
            (info / name).unlink(missing_ok=True)
        _clean_record(info / "RECORD", target)


def _install(wanted: VendoredDependencies, target: Path) -> None:
    if wanted.platform is None:
        problem = _run_uv(wanted, wanted.requirements, target)
    else:
        problem = _run_uv(wanted, wanted.requirements, target, *_ONLY_WHEELS)
    if problem is None:
        return
    if wanted.platform is None:
        raise _fail(problem)
    # One by one: what has a wheel for the platform itself shall not get one for the next.
    for requirement in wanted.requirements:
        problem = _run_uv(wanted, [requirement], target, *_ONLY_WHEELS)
        if problem is None or _install_newer(wanted, requirement, target) or _build(wanted, requirement, target):
            continue
        raise _fail(problem, _find_other(wanted, requirement))


def _install_newer(wanted: VendoredDependencies, requirement: str, target: Path) -> bool:
    """Install a wheel for a newer platform than uv can name, but not for a newer C library than the target's."""
    machine, _, platform = (wanted.platform or "").partition("-")
    following = _NEXT_PLATFORM.get(platform)
    if wanted.glibc is None or following is None:
        return False
    with tempfile.TemporaryDirectory() as name:
        stage = Path(name) / "tree"
        newer = replace(wanted, platform=f"{machine}-{following}")
        if _run_uv(newer, [requirement], stage, *_ONLY_WHEELS) is not None:
            return False
        if min(map(_read_glibc, _read_tags(stage)), default=(0, 0)) > wanted.glibc:
            return False
        shutil.copytree(stage, target, dirs_exist_ok=True)
    return True


def _build(wanted: VendoredDependencies, requirement: str, target: Path) -> bool:
    """Build a package of which there is only source, unless it is known to be compiled.

    Raises:
        BuildError: It turns out to be compiled, or it cannot be built.
    """
    name = _name_of(requirement)
    pure = _is_pure(name)
    if pure is False:
        return False
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder) / "tree"
        problem = _run_uv(wanted, [requirement], stage)
        if problem is not None and pure is None:
            return False
        if problem is not None:
            raise _fail(problem)
        if not all(tag.endswith("-none-any") for tag in _read_tags(stage)):
            raise BuildError(
                f"`{requirement}` has no wheel for the target, and its source holds compiled code.",
                hint=_find_other(wanted, requirement) or "Choose a version of it that has a wheel for the target.",
            )
        for wheel in stage.glob("*.dist-info/WHEEL"):
            # The version of the tool that built it is no part of what was built.
            lines = wheel.read_text(encoding="utf-8").splitlines(keepends=True)
            wheel.write_text(
                "".join(line for line in lines if not line.startswith("Generator:")), encoding="utf-8"
            )
            _forget_hash(wheel.parent / "RECORD", f"{wheel.parent.name}/WHEEL")
        shutil.copytree(stage, target, dirs_exist_ok=True)
    return True


def _find_other(wanted: VendoredDependencies, requirement: str) -> str | None:
    """Find a target that has a wheel, and say how it is chosen."""
    for other in wanted.others:
        there = replace(wanted, python_version=other.python_version, platform=other.platform)
        with tempfile.TemporaryDirectory() as folder:
            if _run_uv(there, [requirement], Path(folder), *_ONLY_WHEELS, "--dry-run") is None:
                return other.hint
    return None


def _run_uv(wanted: VendoredDependencies, requirements: Sequence[str], target: Path, *options: str) -> str | None:
    """Run the installer, and return what it says if it fails."""
    try:
        program = uv.find_uv_bin()
    except FileNotFoundError as error:
        hint = "Install nitropy-kit again: `uv` comes with it."
        raise BuildError("`uv` is not there, which installs dependencies.", hint=hint) from error
    command = [program, "pip", "install", "--no-deps", "--no-progress", "--link-mode", "copy"]
    command += ["--python", sys.executable, "--target", str(target), *options]
    if wanted.python_version is not None:
        command += ["--python-version", wanted.python_version]
    if wanted.platform is not None:
        command += ["--python-platform", wanted.platform]
    done = subprocess.run(
        [*command, "--", *requirements],
        env={**os.environ, "NO_COLOR": "1", "SOURCE_DATE_EPOCH": _EPOCH},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return None if done.returncode == 0 else "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])


def _fail(problem: str, hint: str | None = None) -> BuildError:
    message = f"The dependencies cannot be installed; `uv pip install` says:\n{problem}"
    default = "Check the packages' names and versions, the target's platform, and the network."
    return BuildError(message, hint=hint or default)


def _name_of(requirement: str) -> str:
    try:
        return Requirement(requirement).name
    except InvalidRequirement:
        return requirement


def _is_pure(name: str) -> bool | None:
    """Return whether what is installed here holds no compiled code; `None` if that is not known."""
    try:
        text = distribution(name).read_text("WHEEL")
    except (PackageNotFoundError, ValueError):
        return None
    return None if text is None else all(tag.endswith("-none-any") for tag in _list_tags(text))


def _read_tags(folder: Path) -> list[str]:
    return [
        tag for wheel in folder.glob("*.dist-info/WHEEL") for tag in _list_tags(wheel.read_text(encoding="utf-8"))
    ]


def _list_tags(text: str) -> list[str]:
    return [line.removeprefix("Tag:").strip() for line in text.splitlines() if line.startswith("Tag:")]


def _read_glibc(tag: str) -> tuple[int, int]:
    """Return the C library that a wheel's tag asks for (PEP 600)."""
    found = _GLIBC.search(tag)
    if found is None:
        return (0, 0)
    return _OLD_GLIBC[found["old"]] if found["old"] else (int(found["major"]), int(found["minor"]))


def _forget_hash(record: Path, file: str) -> None:
    rows = list(csv.reader(io.StringIO(record.read_text(encoding="utf-8"))))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([file, "", ""] if row[:1] == [file] else row for row in rows)
    record.write_text(text.getvalue(), encoding="utf-8", newline="\n")


def _clean_record(record: Path, target: Path) -> None:
    """Leave out the files that are gone: their hashes hold the interpreter's path."""
    if not record.is_file():
        return
    rows = list(csv.reader(io.StringIO(record.read_text(encoding="utf-8"))))
    kept = sorted(row for row in rows if row and (target / row[0]).is_file())
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(kept)
    record.write_text(text.getvalue(), encoding="utf-8", newline="\n")
