"""What a project declares that it needs, wherever it declares it, and the versions that its lock file names."""

from __future__ import annotations

import configparser
import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from nitro_py.build.bundle.local_packages import LocalPackage, find_by_distribution, find_in_folder
from nitro_py.build.bundle.pyproject import NAME, read_pyproject
from nitro_py.build.config.toml_lines import find_lines
from nitro_py.errors import DISTRIBUTION, BuildError

REQUIREMENTS = "requirements.txt"
_HINT = 'Write it as in "pydantic[email]>=2".'
# Groups that nobody expects to ship, and those that do if they are there: those that are named after what ships.
_TOOLS = frozenset({"dev", "doc", "docs", "lint", "linting", "test", "tests", "typing"})
DEFAULT_GROUPS = ("default", "main", "prod", "production")


@dataclass(frozen=True, slots=True)
class Locked:
    """A package in a lock file.

    Args:
        version: Its version.
        requires: What it requires, as far as the file says so.
        marker: The targets that this version is for; empty means all.
    """

    version: str
    requires: tuple[str, ...] = ()
    marker: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a project declares.

    Args:
        requirements: The requirements (PEP 508), sorted.
        locked: What its lock file names, by canonical name.
        folders: The folders of packages of the project's own, by canonical name.
        sources: Where they were read, such as `project.dependencies`.
        notes: What was found and not read, a line each.
        own: Whether the project is nitropy-kit itself.
    """

    requirements: tuple[str, ...] = ()
    locked: Mapping[str, tuple[Locked, ...]] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    own: bool = False


def read_declared(root: Path, groups: Iterable[str] = ()) -> Declared:
    r"""Find the requirements that a project declares: drivers and extras, which no import shows.

    Args:
        root: The project's folder.
        groups: The dependency groups (PEP 735) that ship beside those of `DEFAULT_GROUPS`.

    Returns:
        What was found; nothing for nitropy-kit's own checkout, as presets add what they use of its.

    Raises:
        BuildError: A file cannot be read, or a requirement is not written as PEP 508 says.

    Example:
        >>> from tempfile import mkdtemp
        >>> root = Path(mkdtemp())
        >>> (root / "requirements.txt").write_text("httpx>=0.27  # for the bank\n")
        28
        >>> read_declared(root).requirements
        ('httpx>=0.27',)
    """
    found = read_pyproject(root)
    data: Mapping[str, Any] = {} if found is None else tomllib.loads(found.text)
    if isinstance(data.get("project"), dict) and data["project"].get("name") == DISTRIBUTION:
        return Declared(own=True)
    reader = _Reader(root, data, find_lines(found.text) if found is not None else {})
    reader.read(groups)
    reader.expand_folders()
    locked = read_lock(root)
    if not reader.sources:
        reader.read_lock_alone(locked)
    if not reader.sources and (root / "setup.py").is_file():
        reader.notes.append("The dependencies in `setup.py` are not read: install the project, or declare them")
    return Declared(
        tuple(sorted(set(reader.requirements))),
        {**reader.pins, **locked},
        reader.folders,
        tuple(reader.sources),
        tuple(reader.notes),
    )


def find_local(declared: Declared, root: Path) -> tuple[LocalPackage, ...]:
    """Find the declared packages that travel as files, and those that these need in turn.

    Args:
        declared: What the project declares.
        root: The project's folder.
    """
    found: dict[str, LocalPackage] = {}
    queue = [Requirement(text) for text in declared.requirements]
    while queue:
        name = str(canonicalize_name(queue.pop().name))
        # Presets add what they ship of our own files, wherever these are installed from.
        if name == DISTRIBUTION or name in found or name in declared.locked:
            continue
        package = find_by_distribution(name, root)
        if package is None and name in declared.folders:
            package = find_in_folder(name, declared.folders[name])
        if package is not None and package.folder != root:
            found[name] = package
            queue += [Requirement(text) for text in list_needs(package)]
    return tuple(found.values())


def list_needs(package: LocalPackage) -> tuple[str, ...]:
    """List what a package needs that travels as files: by its metadata, else by the files of its project."""
    if package.requires or package.folder is None:
        return package.requires
    return read_declared(package.folder).requirements


def combine_requirements(declared: Declared, local: Iterable[LocalPackage], root: Path) -> tuple[str, ...]:
    """List what the project and the packages that travel as files require, sorted."""
    found = set(declared.requirements)
    for package in local:
        if package.folder != root:
            found.update(list_needs(package))
    return tuple(sorted(found))


def describe_declared(declared: Declared) -> tuple[str, ...]:
    """Say where dependencies were read, if nowhere, and what was not read."""
    if declared.sources or declared.notes or declared.own:
        return declared.notes
    return ("No declared dependencies were found: only what is imported ships",)


class _Reader:
    """The places where a project may declare what it needs."""

    def __init__(self, root: Path, data: Mapping[str, Any], lines: Mapping[Any, int]) -> None:
        self.root = root
        self.data = data
        self.lines = lines
        self.requirements: list[str] = []
        self.pins: dict[str, tuple[Locked, ...]] = {}
        self.folders: dict[str, Path] = {}
        self.sources: list[str] = []
        self.notes: list[str] = []

    def read(self, groups: Iterable[str]) -> None:
        """Read all of them."""
        self._read_project()
        self._read_poetry()
        self._read_groups(groups)
        self._read_uv()
        self._read_pipfile()
        self._read_setup_cfg()
        if (self.root / REQUIREMENTS).is_file():
            self._read_requirements(REQUIREMENTS)

    def expand_folders(self) -> None:
        """Add what the extras ask for of packages that travel as files."""
        for text in [*self.requirements]:
            requirement = Requirement(text)
            folder = self.folders.get(canonicalize_name(requirement.name))
            found = read_pyproject(folder) if requirement.extras and folder is not None else None
            if found is not None and folder is not None:
                other = _Reader(folder, tomllib.loads(found.text), {})
                self.requirements += other._expand(requirement, set())

    def read_lock_alone(self, locked: Mapping[str, tuple[Locked, ...]]) -> None:
        """Read the lock file of a project that declares nothing: some kinds list just what ships."""
        for name in _WHOLE_LOCKS:
            if (self.root / name).is_file():
                self._add([text for package, choices in locked.items() for text in _pin(package, choices)], name)
                return
        found = [name for name in _LOCKS if (self.root / name).is_file()]
        found += sorted(file.name for file in self.root.glob("pylock.*.toml"))
        if found:
            listed = ", ".join(f"`{name}`" for name in found)
            self.notes.append(
                f"{listed} is not read for what ships, as no file declares it: declare it in `{NAME}`"
            )

    def _table(self, *keys: str) -> Mapping[str, Any]:
        value: Any = self.data
        for key in keys:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        return value if isinstance(value, dict) else {}

    def _add(self, texts: Any, source: str, *path: str) -> None:
        line = self.lines.get(path)
        file = source if (self.root / source).is_file() else NAME
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            message = f"`{source}` cannot be read: expected a list of strings."
            raise BuildError(message, file=file, line=line, hint=_HINT)
        try:
            self.requirements += [one for text in texts for one in self._expand(Requirement(text), set())]
        except InvalidRequirement as error:
            message = f"`{source}` has a requirement that cannot be read: {error}."
            raise BuildError(message, file=file, line=line, hint=_HINT) from None
        if source not in self.sources:
            self.sources.append(source)

    def _expand(self, requirement: Requirement, seen: set[str]) -> Iterator[str]:
        """List what a requirement asks for: `shop[web]` in the project `shop` asks for that extra's."""
        own = self._table("project").get("name")
        if not isinstance(own, str) or canonicalize_name(requirement.name) != canonicalize_name(own):
            yield str(requirement)
            return
        table = self._table("project", "optional-dependencies")
        there = {canonicalize_name(name): texts for name, texts in table.items()}
        for extra in sorted({canonicalize_name(name) for name in requirement.extras} - seen):
            seen.add(extra)
            if extra not in there:
                listed = ", ".join(f"`{name}`" for name in sorted(there)) or "none"
                raise BuildError(f"The project has no extra `{extra}`: expected one of {listed}.", file=NAME)
            for text in there[extra]:
                yield from self._expand(Requirement(text), seen)

    def _read_project(self) -> None:
        if "project" in self.data and not isinstance(self.data["project"], dict):
            message = "`project.dependencies` cannot be read: expected a list of strings."
            raise BuildError(message, file=NAME, hint=_HINT)
        project = self._table("project")
        if "dependencies" in project:
            self._add(project["dependencies"], "project.dependencies", "project", "dependencies")
        if "dependencies" not in (project.get("dynamic") or ()):
            return
        named = self._table("tool", "setuptools", "dynamic", "dependencies").get("file", [])
        for name in [named] if isinstance(named, str) else named:
            self._read_requirements(name)
        if named:
            return
        try:
            installed = distribution(str(project.get("name", ""))).requires or []
        except (PackageNotFoundError, ValueError):
            self.notes.append(
                "`project.dependencies` is dynamic, and only its installation would say what it is: "
                "install the project where it is built"
            )
            return
        # Those of extras have a marker that names the extra, and do not apply.
        self._add([text for text in installed if "extra ==" not in text], "project.dependencies (as installed)")

    def _read_poetry(self) -> None:
        tables = {
            "tool.poetry.dependencies": self._table("tool", "poetry", "dependencies"),
            "tool.poetry.group.main.dependencies": self._table("tool", "poetry", "group", "main", "dependencies"),
        }
        if not any(tables.values()):
            return
        from poetry.core.factory import Factory
        from poetry.core.packages.directory_dependency import DirectoryDependency

        for source, table in tables.items():
            path = tuple(source.split("."))
            for name, wanted in table.items():
                for constraint in wanted if isinstance(wanted, list) else [wanted]:
                    if name == "python":
                        continue
                    try:
                        needed = Factory.create_dependency(name, constraint, root_dir=self.root)
                        text = needed.to_pep_508()
                    except Exception as error:  # each kind of wrong entry has its own
                        message = f"`{source}.{name}` cannot be read: {error}."
                        line = self.lines.get((*path, name))
                        raise BuildError(message, file=NAME, line=line, hint=_HINT) from None
                    if needed.is_optional():
                        continue
                    if isinstance(needed, DirectoryDependency):
                        self.folders[canonicalize_name(name)] = needed.full_path
                        text = name
                    self._add([text], source, *path, name)
        left = sorted(set(self._table("tool", "poetry", "group")) - {"main"})
        self._note_left("Poetry groups", left)

    def _read_groups(self, groups: Iterable[str]) -> None:
        table = self._table("dependency-groups")
        groups = [*groups]
        if not table and not groups:
            return
        from packaging.dependency_groups import resolve_dependency_groups

        there = {canonicalize_name(name): name for name in table}
        wanted = [*(name for name in DEFAULT_GROUPS if name in there), *groups]
        for name in wanted:
            place = there.get(canonicalize_name(name))
            if place is None:
                listed = ", ".join(f"`{one}`" for one in sorted(table)) or "none"
                raise BuildError(f"There is no dependency group `{name}`: expected one of {listed}.", file=NAME)
            try:
                texts = resolve_dependency_groups(dict(table), place)
            except Exception as error:  # a group of errors, each about one entry
                inner = getattr(error, "exceptions", (error,))[0]
                line = self.lines.get(("dependency-groups", place))
                message = f"The dependency group `{place}` cannot be read: {inner}."
                raise BuildError(message, file=NAME, line=line, hint=_HINT) from None
            self._add(texts, f"dependency-groups.{place}", "dependency-groups", place)
        taken = {canonicalize_name(name) for name in wanted}
        self._note_left("dependency groups", [name for name in table if canonicalize_name(name) not in taken])

    def _note_left(self, kind: str, names: Iterable[str]) -> None:
        listed = ", ".join(f"`{name}`" for name in sorted(names) if name not in _TOOLS)
        if listed:
            self.notes.append(f"These {kind} do not ship: {listed}; name those that shall in `build.groups`")

    def _read_uv(self) -> None:
        sources = self._table("tool", "uv", "sources")
        for name, source in sources.items():
            for entry in source if isinstance(source, list) else [source]:
                if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                    self.folders[canonicalize_name(name)] = (self.root / entry["path"]).resolve()
        for folder in self._list_members():
            found = read_pyproject(folder)
            member = found.project.get("name") if found is not None and isinstance(found.project, dict) else None
            if isinstance(member, str):
                self.folders.setdefault(canonicalize_name(member), folder)

    def _list_members(self) -> Iterator[Path]:
        """List the members of the uv workspace that the project is in, or is the root of."""
        for base in (self.root, *self.root.parents):
            found = read_pyproject(base) if (base / NAME).is_file() else None
            workspace = _dig(tomllib.loads(found.text), "tool", "uv", "workspace") if found is not None else None
            if isinstance(workspace, dict):
                for glob in workspace.get("members", []):
                    yield from (folder for folder in sorted(base.glob(glob)) if (folder / NAME).is_file())
                return

    def _read_pipfile(self) -> None:
        file = self.root / "Pipfile"
        if not file.is_file():
            return
        packages = _dig(_load_toml(file), "packages") or {}
        for name, wanted in packages.items():
            entry = wanted if isinstance(wanted, dict) else {"version": wanted}
            if isinstance(entry.get("path"), str):
                self.folders[canonicalize_name(name)] = (self.root / entry["path"]).resolve()
            extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
            version = entry.get("version", "*")
            marker = f" ; {entry['markers']}" if entry.get("markers") else ""
            self._add([f"{name}{extras}{'' if version == '*' else version}{marker}"], "Pipfile")

    def _read_setup_cfg(self) -> None:
        file = self.root / "setup.cfg"
        if not file.is_file():
            return
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(file.read_text(encoding="utf-8"))
        except configparser.Error as error:
            raise BuildError(f"`setup.cfg` cannot be read: {error}.", file="setup.cfg") from None
        text = parser.get("options", "install_requires", fallback="")
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
        if lines:
            self._add(lines, "setup.cfg")

    def _read_requirements(self, name: str) -> None:
        from pip_requirements_parser import InvalidRequirementLine, RequirementsFile

        if not (self.root / name).is_file():
            raise BuildError(f"`{name}` is not there, which `{NAME}` names.", file=NAME)
        try:
            file = RequirementsFile.from_file(str(self.root / name), include_nested=True)
        except Exception as error:  # a nested file that is not there, and whatever else the parser meets
            raise BuildError(f"`{name}` cannot be read: {error}.", file=name) from None
        for wrong in file.invalid_lines:
            assert isinstance(wrong, InvalidRequirementLine)
            place = Path(wrong.filename or name)
            reason = str(wrong.error_message).splitlines()[0]
            # What the parser makes of its `RecursionError`.
            is_loop = "recursion depth" in reason
            raise BuildError(
                f"`{wrong.line}` leads back to a file that includes this one."
                if is_loop
                else f"`{wrong.line}` is no requirement: {reason}.",
                file=place.relative_to(self.root).as_posix() if place.is_relative_to(self.root) else str(place),
                line=wrong.line_number,
                hint="Delete the line." if is_loop else _HINT,
            )
        for item in file.requirements:
            if item.requirement_line.line.lstrip().startswith(("-e", "--editable")) or item.is_local_path:
                self._read_path(item)
            elif item.req is not None:
                requirement = Requirement(str(item.req))
                requirement.marker = item.marker
                if not item.is_constraint:
                    self._add([str(requirement)], name)
                self._read_pin(requirement)
        if name not in self.sources:
            self.sources.append(name)
        if any({"index_url", "extra_index_urls", "find_links"} & {*option.options} for option in file.options):
            self.notes.append(f"The indexes in `{name}` are not read: set `UV_INDEX_URL` or `UV_EXTRA_INDEX_URL`")

    def _read_pin(self, requirement: Requirement) -> None:
        exact = [
            item.version for item in requirement.specifier if item.operator == "==" and "*" not in item.version
        ]
        if len(exact) == 1:
            pin = Locked(exact[0], marker=str(requirement.marker or ""))
            name = canonicalize_name(requirement.name)
            self.pins[name] = (*self.pins.get(name, ()), pin)

    def _read_path(self, item: Any) -> None:
        text = item.link.url if item.link is not None else ""
        if "+" in text.partition(":")[0]:
            self._add([f"{item.name} @ {text.partition('#')[0]}"] if item.name else [], REQUIREMENTS)
            return
        folder = (self.root / text.removeprefix("file://").partition("[")[0].partition("#")[0]).resolve()
        found = read_pyproject(folder) if folder.is_dir() else None
        name = found.project.get("name") if found is not None and isinstance(found.project, dict) else None
        if folder == self.root:
            if isinstance(name, str) and item.extras:
                self._add([f"{name}[{','.join(sorted(item.extras))}]"], REQUIREMENTS)
            return
        if not isinstance(name, str):
            self.notes.append(f"`{text}` in `{REQUIREMENTS}` is not read: it has no `{NAME}` with a name")
            return
        self.folders[canonicalize_name(name)] = folder
        extras = f"[{','.join(sorted(item.extras))}]" if item.extras else ""
        self._add([f"{name}{extras}"], REQUIREMENTS)


def _pin(package: str, choices: Iterable[Locked]) -> Iterator[str]:
    for choice in choices:
        yield f"{package}=={choice.version}" + (f" ; {choice.marker}" if choice.marker else "")


def read_lock(root: Path) -> dict[str, tuple[Locked, ...]]:
    """Read the versions that a project's lock file names: `uv.lock`, `poetry.lock`, `pylock.toml`, `Pipfile.lock`.

    Args:
        root: The project's folder; uv keeps the file of a workspace in the folder of its root.

    Raises:
        BuildError: The file cannot be read.
    """
    for name, read in _LOCKS.items():
        folders = (root, *root.parents) if name == "uv.lock" else (root,)
        file = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if file is None or (file.parent != root and not _is_workspace_of(file.parent, root)):
            continue
        try:
            found: dict[str, tuple[Locked, ...]] = {}
            for package, locked in read(file):
                key = canonicalize_name(package)
                found[key] = (*found.get(key, ()), locked)
            return found
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            hint = "Write it anew with the tool that it belongs to."
            raise BuildError(f"`{name}` cannot be read: {error}.", file=name, hint=hint) from None
    return {}


def _is_workspace_of(folder: Path, root: Path) -> bool:
    found = read_pyproject(folder)
    workspace = _dig(tomllib.loads(found.text), "tool", "uv", "workspace") if found is not None else None
    members = workspace.get("members", []) if isinstance(workspace, dict) else []
    return any(root in folder.glob(glob) for glob in members)


def _read_uv_lock(file: Path) -> Iterator[tuple[str, Locked]]:
    for package in _load_toml(file)["package"]:
        if {"editable", "directory", "virtual", "git", "path", "url"} & {*package.get("source", {})}:
            continue
        requires = [
            entry["name"]
            + (f"[{','.join(entry['extra'])}]" if entry.get("extra") else "")
            + (f" ; {entry['marker']}" if entry.get("marker") else "")
            for entry in package.get("dependencies", [])
        ]
        marker = " or ".join(f"({text})" for text in package.get("resolution-markers", []))
        yield package["name"], Locked(package["version"], tuple(requires), marker)


def _read_poetry_lock(file: Path) -> Iterator[tuple[str, Locked]]:
    for package in _load_toml(file)["package"]:
        if _dig(package, "source", "type") in ("directory", "file", "git", "url") or "path" in package:
            continue
        needed = package.get("dependencies", {})
        # The names suffice: each is locked itself.
        if isinstance(needed, dict):
            needed = [name for name, wanted in needed.items() if not _is_optional(wanted)]
        marker = package.get("markers", "")
        marker = marker if isinstance(marker, str) else ""
        yield package["name"], Locked(package["version"], tuple(needed), marker)


def _is_optional(wanted: object) -> bool:
    return isinstance(wanted, dict) and bool(wanted.get("optional") or wanted.get("markers"))


def _read_pylock(file: Path) -> Iterator[tuple[str, Locked]]:
    from packaging.pylock import Pylock

    for package in Pylock.from_dict(_load_toml(file)).packages:
        if package.version is not None:
            requires = tuple(str(entry["name"]) for entry in package.dependencies or [] if "name" in entry)
            yield package.name, Locked(str(package.version), requires, str(package.marker or ""))


def _read_pipfile_lock(file: Path) -> Iterator[tuple[str, Locked]]:
    for name, entry in json.loads(file.read_bytes())["default"].items():
        if "version" in entry:
            yield name, Locked(entry["version"].removeprefix("=="), marker=entry.get("markers", ""))


_LOCKS: Mapping[str, Callable[[Path], Iterator[tuple[str, Locked]]]] = {
    "uv.lock": _read_uv_lock,
    "poetry.lock": _read_poetry_lock,
    "pdm.lock": _read_poetry_lock,
    "pylock.toml": _read_pylock,
    "Pipfile.lock": _read_pipfile_lock,
}
# Those that list nothing but what ships: other kinds lock the tools of developers, too.
_WHOLE_LOCKS = ("pylock.toml", "Pipfile.lock")


def _load_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise BuildError(f"`{file.name}` is not valid TOML: {error}.", file=file.name) from None


def _dig(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data
