"""Turning imported names and declared requirements into pinned ones."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import PurePosixPath

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from nitro_py.build.bundle.declared import Locked
from nitro_py.build.bundle.names import name_missing
from nitro_py.errors import DISTRIBUTION, BuildError, suggest_extra

# The extras of this distribution, by what they let a bundle import.
_EXTRAS = {"nats": "nats", "prometheus_client": "metrics", "psycopg": "postgres", "redis": "redis"}
# Module → a part of it that another distribution provides, and that it uses where it finds it.
_PARTS = {"psycopg": "psycopg_binary"}
_MODULES = (".py", ".pyd", ".so")


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
    """Name the installed distributions that provide a module.

    Args:
        name: The module's name, such as `yaml`; a dotted one tells apart distributions that share a namespace, and
            may end with a name inside a module.

    Returns:
        Canonical names, sorted; none if nothing that is installed provides it.

    Example:
        >>> find_distributions("packaging")
        ('packaging',)
    """
    parts = name.split(".")
    found = _find_providers(tuple(sys.path)).get(parts[0], ())
    if len(found) < 2 or len(parts) == 1:
        return found
    for end in range(len(parts), 0, -1):
        owners = tuple(provider for provider in found if _provides(provider, parts[:end], whole=end < len(parts)))
        if owners:
            return owners
    return ()


@cache
def _list_files(provider: str) -> frozenset[str]:
    return frozenset(str(file) for file in distribution(provider).files or ())


def _provides(provider: str, parts: Sequence[str], *, whole: bool) -> bool:
    """Return whether a distribution has a module, or where that is asked for, a part of a namespace."""
    path = "/".join(parts)
    ends = (f"{path}/__init__.py", f"{path}.")
    starts = ends if whole else (*ends, f"{path}/")
    return any(file.startswith(starts) for file in _list_files(provider))


def pin_requirements(
    imports: Iterable[str],
    extra: Iterable[str],
    *,
    markers: Mapping[str, str] | None = None,
    local: Container[str] = (),
    locked: Mapping[str, Sequence[Locked]] | None = None,
) -> tuple[str, ...]:
    """Pin what some modules need: to the versions of the lock file, else to those that are installed here.

    Args:
        imports: The names of the modules that are imported.
        extra: Requirements that are needed as well, such as `uvicorn[standard]`.
        markers: What the target is where it differs from this machine, by the names of PEP 508, such as
            `python_version`: it may need what is not needed here, and not need what is.
        local: The canonical names of packages that travel as files; what they need is among the others.
        locked: What the lock file names, by canonical name.

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
    for module in imports:
        found = find_distributions(module)
        if not found:
            hint = f"Install {name_missing(module)}."
            if module in _EXTRAS:
                hint = f"Run {suggest_extra(_EXTRAS[module])} in the environment that builds."
            raise BuildError(f"`{module}` is not installed.", hint=hint)
        parts = find_distributions(_PARTS[module]) if module in _PARTS else ()
        queue += [(Requirement(provider), "") for provider in (*found, *parts)]
    pins: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    while queue:
        requirement, parent = queue.pop()
        name = canonicalize_name(requirement.name)
        applies = requirement.marker is None or requirement.marker.evaluate({**target, "extra": ""})
        if name == DISTRIBUTION or name in local or (not parent and not applies):
            continue
        pin = _pick_locked((locked or {}).get(name, ()), target)
        installed = None if pin is not None and not _is_installed(name) else _find_installed(requirement, parent)
        pins[name] = f"{name}=={pin.version}" if pin is not None else _pin(_known(installed), name)
        for extra_name in {"", *requirement.extras}:
            if (name, extra_name) not in seen:
                seen.add((name, extra_name))
                queue += [(needed, name) for needed in _list_needed(installed, pin, extra_name, target)]
    return tuple(pins[name] for name in sorted(pins))


def _pick_locked(choices: Sequence[Locked], target: Mapping[str, str]) -> Locked | None:
    """Pick the version of a lock file that is for a target: it may name several for several targets."""
    for choice in choices:
        try:
            if not choice.marker or Marker(choice.marker).evaluate({**target, "extra": ""}):
                return choice
        except InvalidMarker:
            continue
    return None


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _known(installed: Distribution | None) -> Distribution:
    assert installed is not None
    return installed


def _list_needed(
    installed: Distribution | None, pin: Locked | None, extra: str, target: Mapping[str, str]
) -> list[Requirement]:
    """List what a package requires: by its metadata if it is installed in that version, else by the lock."""
    if installed is not None and (pin is None or installed.version == pin.version or not pin.requires):
        return _requirements(installed, extra, target)
    needed = [Requirement(text) for text in (pin.requires if pin is not None else ())]
    return [one for one in needed if one.marker is None or one.marker.evaluate({**target, "extra": extra})]


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
            hint="Put its folder into the project, declare it as a dependency, or install a published version.",
        )
    if "vcs_info" in origin:
        revision = origin["vcs_info"]
        folder = f"#subdirectory={origin['subdirectory']}" if "subdirectory" in origin else ""
        return f"{name} @ {revision['vcs']}+{origin['url']}@{revision['commit_id']}{folder}"
    return f"{name} @ {origin['url']}"
