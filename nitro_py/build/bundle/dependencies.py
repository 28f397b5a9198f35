"""Turning imported names into pinned requirements, and installing these into a folder."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path, PurePosixPath

import uv
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from nitro_py.build.bundle.pyproject import NAME, read_pyproject
from nitro_py.errors import DISTRIBUTION, BuildError, suggest_extra

# The extras of this distribution, by what they let a bundle import.
_EXTRAS = {"nats": "nats", "prometheus_client": "metrics", "redis": "redis"}
# What uv writes about the machine and not about the package.
_NOISE = frozenset({"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"})
_SCRIPTS = ("bin", "Scripts")
_MODULES = (".py", ".pyd", ".so")
_LAST_LINES = 8


def build_python() -> str:
    """Name the Python that builds, such as `3.13`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def linux_markers(python_version: str, machine: str) -> dict[str, str]:
    """Describe a target in the words of requirements' markers (PEP 508).

    Args:
        python_version: Its Python, such as `3.13`; its first release is meant, which needs most.
        machine: Its processor in Python's words, such as `aarch64`.

    Example:
        >>> linux_markers("3.13", "aarch64")["python_full_version"]
        '3.13.0'
    """
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python_version}.0",
        "python_version": python_version,
        "sys_platform": "linux",
    }


def find_distributions(name: str) -> tuple[str, ...]:
    """Name the installed distributions that provide a top-level module.

    Args:
        name: The module's name, such as `yaml`.

    Returns:
        Canonical names, sorted; none if nothing that is installed provides it.

    Example:
        >>> find_distributions("packaging")
        ('packaging',)
    """
    return _find_providers(tuple(sys.path)).get(name, ())


def pin_requirements(
    imports: Iterable[str], extra: Iterable[str], *, markers: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Pin what some modules need to the versions that are installed here.

    Args:
        imports: The top-level names that are imported.
        extra: Requirements that are needed as well, such as `uvicorn[standard]`.
        markers: What the target is where it differs from this machine, by the names of PEP 508, such as
            `python_version`: it may need what is not needed here, and not need what is.

    Returns:
        Sorted lines `name==version`, what the packages require themselves included, nitropy-kit left out.

    Raises:
        BuildError: Something is not installed, or installed from a place that other machines don't have.

    Example:
        >>> [line.partition("==")[0] for line in pin_requirements(["packaging"], [])]
        ['packaging']
    """
    target = dict(markers or {})
    queue = [(Requirement(text), "") for text in extra]
    for name in imports:
        found = find_distributions(name)
        if not found:
            hint = "Install the package that provides it."
            if name in _EXTRAS:
                hint = f"Run {suggest_extra(_EXTRAS[name])} in the environment that builds."
            raise BuildError(f"`{name}` is not installed.", hint=hint)
        queue += [(Requirement(provider), "") for provider in found]
    pins: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    while queue:
        requirement, parent = queue.pop()
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate({**target, "extra": ""})
        if name == DISTRIBUTION or (not parent and not applies):
            continue
        installed = _find_installed(requirement, parent)
        pins[name] = _pin(installed, name)
        for extra_name in {"", *requirement.extras}:
            if (name, extra_name) not in seen:
                seen.add((name, extra_name))
                queue += [(needed, name) for needed in _requirements(installed, extra_name, target)]
    return tuple(pins[name] for name in sorted(pins))


def find_declared(root: Path) -> tuple[str, ...]:
    """Find the requirements that a project declares: drivers and extras, which no import shows.

    Args:
        root: The project's folder; its `pyproject.toml` is read, if there is one.

    Returns:
        The requirements of `project.dependencies`, sorted; none for nitropy-kit's own checkout, as presets add
        what they use of its.

    Raises:
        BuildError: The dependencies in `pyproject.toml` are no list, or one is not written as PEP 508 says.
    """
    found = read_pyproject(root)
    if found is None:
        return ()
    hint = 'Write it as in "pydantic[email]>=2".'
    project = found.project
    declared = project.get("dependencies", []) if isinstance(project, dict) else None
    if not isinstance(declared, list) or not all(isinstance(text, str) for text in declared):
        message = "`project.dependencies` cannot be read: expected a list of strings."
        raise BuildError(message, file=NAME, hint=hint)
    if project.get("name") == DISTRIBUTION:
        return ()
    try:
        return tuple(sorted(str(Requirement(text)) for text in declared))
    except InvalidRequirement as error:
        message = f"`project.dependencies` has a requirement that cannot be read: {error}."
        raise BuildError(message, file=NAME, hint=hint) from None


def vendor(
    requirements: Sequence[str], target: Path, *, python_version: str | None = None, platform: str | None = None
) -> None:
    """Install pinned requirements into a folder with uv, so that the same pins give the same files.

    Args:
        requirements: Every package that is wanted, as `pin_requirements` gives them.
        target: The folder, which is made.
        python_version: The target's Python, such as `3.13`; by default the running one.
        platform: The target's platform in uv's words, such as `aarch64-manylinux2014`; only wheels are
            installed then. By default the running one.

    Raises:
        BuildError: uv is missing or fails.
    """
    target.mkdir(parents=True, exist_ok=True)
    if requirements:
        _run_uv(requirements, target, python_version, platform)
    for name in _SCRIPTS:
        shutil.rmtree(target / name, ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
    for folder in sorted(target.rglob("__pycache__")):
        shutil.rmtree(folder)
    for info in sorted(target.glob("*.dist-info")):
        for name in _NOISE:
            (info / name).unlink(missing_ok=True)
        _clean_record(info / "RECORD", target)


def _run_uv(requirements: Sequence[str], target: Path, python_version: str | None, platform: str | None) -> None:
    try:
        program = uv.find_uv_bin()
    except FileNotFoundError as error:
        hint = "Install nitropy-kit again: `uv` comes with it."
        raise BuildError("`uv` is not there, which installs dependencies.", hint=hint) from error
    command = [program, "pip", "install", "--no-deps", "--no-progress", "--link-mode", "copy"]
    command += ["--python", sys.executable, "--target", str(target)]
    if python_version is not None:
        command += ["--python-version", python_version]
    if platform is not None:
        command += ["--python-platform", platform, "--only-binary", ":all:"]
    done = subprocess.run(
        [*command, "--", *requirements],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()[-_LAST_LINES:]
        message = "\n".join(["The dependencies cannot be installed; `uv pip install` says:", *lines])
        hint = "Check the packages' names and versions, the target's platform, and the network."
        raise BuildError(message, hint=hint)


def _clean_record(record: Path, target: Path) -> None:
    """Leave out the files that are gone: their hashes hold the interpreter's path."""
    if not record.is_file():
        return
    rows = list(csv.reader(io.StringIO(record.read_text(encoding="utf-8"))))
    kept = sorted(row for row in rows if row and (target / row[0]).is_file())
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(kept)
    record.write_text(text.getvalue(), encoding="utf-8", newline="\n")


@cache
def _find_providers(path: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for installed in distributions(path=list(path)):
        provider = str(canonicalize_name(_read_name(installed)))
        for name in _top_levels(installed):
            found.setdefault(name, set()).add(provider)
    return {name: tuple(sorted(providers)) for name, providers in found.items()}


def _read_name(installed: Distribution) -> str:
    # `installed.name` parses all of the metadata as a mail, which takes longer than the rest of a small build.
    for line in (installed.read_text("METADATA") or "").splitlines():
        if not line:
            break
        if line.startswith("Name:"):
            return line.removeprefix("Name:").strip()
    return installed.name


def _top_levels(installed: Distribution) -> set[str]:
    # Not `packages_distributions`: in Python 3.11 it passes over packages that are one compiled module.
    listed = (installed.read_text("top_level.txt") or "").split()
    if listed:
        return {name.partition("/")[0] for name in listed}
    record = installed.read_text("RECORD")
    if record is None:
        files = [str(file) for file in installed.files or ()]
    else:
        # Neither does this need the object that `installed.files` makes of each line.
        files = [row[0] for row in csv.reader(record.splitlines()) if row]
    return {file.partition("/")[0].partition(".")[0] for file in files if file.endswith(_MODULES)}


def _requirements(installed: Distribution, extra: str, target: Mapping[str, str]) -> list[Requirement]:
    """Read what a distribution requires; for an extra, only what the extra adds matters."""
    needed: list[Requirement] = []
    for text in installed.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            # Old packages have some, and installers have passed over them too.
            continue
        if requirement.marker is None or requirement.marker.evaluate({**target, "extra": extra}):
            needed.append(requirement)
    return needed


def _find_installed(requirement: Requirement, parent: str) -> Distribution:
    try:
        return distribution(requirement.name)
    except PackageNotFoundError as error:
        reason = f", which `{parent}` requires," if parent else ""
        hint = f'Run `pip install "{requirement.name}"` in the environment that builds.'
        raise BuildError(f"`{requirement.name}`{reason} is not installed.", hint=hint) from error


def _pin(installed: Distribution, name: str) -> str:
    text = installed.read_text("direct_url.json")
    if text is None:
        return f"{name}=={installed.version}"
    origin = json.loads(text)
    if "dir_info" in origin or origin["url"].startswith("file:"):
        place = PurePosixPath(origin["url"]).name
        raise BuildError(
            f"`{name}` is installed from `{place}` on this machine, which no other machine can install.",
            hint="Put the package's folder into the project, or install a published version.",
        )
    if "vcs_info" in origin:
        revision = origin["vcs_info"]
        folder = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
        return f"{name} @ {revision['vcs']}+{origin['url']}@{revision['commit_id']}{folder}"
    return f"{name} @ {origin['url']}"
