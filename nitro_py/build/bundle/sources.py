"""Collecting the project's files that travel in a bundle, and the packages that they import."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path, PurePosixPath

from nitro_py.build.bundle.dependencies import find_distributions
from nitro_py.build.bundle.exclude import find_secret, is_history, is_secret, looks_like_dump, travels
from nitro_py.build.bundle.imports import Import, find_imports
from nitro_py.build.bundle.local_packages import LocalPackage, find_by_distribution, find_by_module
from nitro_py.build.bundle.names import name_missing
from nitro_py.build.bundle.tree import check_link, match_globs, read_file, walk_files
from nitro_py.errors import BuildError

# Where a project keeps its packages.
_SOURCE = PurePosixPath("src")
_BASES = (PurePosixPath("."), _SOURCE)
_WELL_KNOWN = ".well-known"


@dataclass(frozen=True, slots=True)
class PublicFolder:
    """The files that are served as they are.

    Args:
        files: Path below the folder → bytes, sorted.
        secrets: The files of the project that are not served, and why.
        dumps: The files of the project that are served, and look as if they should not.
    """

    files: Mapping[str, bytes]
    secrets: Mapping[str, str]
    dumps: tuple[str, ...] = ()


def collect_public(root: Path, public_dir: str, include: Sequence[str] = ()) -> PublicFolder:
    """Read the files that are served as they are.

    Dotfiles are not, but those in `.well-known/` (RFC 8615); neither are secrets.

    Args:
        root: The project's folder.
        public_dir: The folder, relative to it; it need not exist.
        include: Files that are served whatever they look like, relative to the project.

    Returns:
        The files, and what is remarkable about them.

    Raises:
        BuildError: A symbolic link leads out of the folder, nowhere or in a circle.
    """
    if not (root / public_dir).is_dir():
        return PublicFolder({}, {})
    folder = PurePosixPath(public_dir)
    base = (root / folder).resolve()
    named = {str(PurePosixPath(glob)) for glob in include}
    secrets: dict[str, str] = {}

    def keep(path: PurePosixPath) -> bool:
        below = path.relative_to(folder)
        hidden = path.name.startswith(".") and below.parts[0] != _WELL_KNOWN
        if str(path) in named or not (hidden or is_secret(below)):
            return str(path) in named or travels(below)
        if not is_history(below):
            secrets[str(path)] = "by its name"
        return False

    found: dict[str, bytes] = {}
    dumps = []
    for path in walk_files(root, folder, keep=keep):
        real = (root / path).resolve()
        if not real.is_relative_to(base):
            raise BuildError(
                f"`{path}` is a symbolic link out of `{public_dir}`: its target would be served to all clients.",
                file=str(path),
                hint="Copy the file into the folder, or remove the link.",
            )
        data = read_file(root, path)
        what = find_secret(path, data)
        if what is not None and str(path) not in named:
            secrets[str(path)] = what
            continue
        if looks_like_dump(path, data):
            dumps.append(str(path))
        found[str(path.relative_to(folder))] = data
    return PublicFolder(found, secrets, tuple(dumps))


@dataclass(frozen=True, slots=True)
class Sources:
    """What the handlers need to run.

    Args:
        files: The project's files that travel: path in the bundle → bytes, sorted by path.
        imports: The names of the third-party modules that they import: top-level ones, and dotted ones where
            several packages share the top level.
        unmatched: The globs of `include` that no file fits, by their places in the list.
        secrets: What looks like a secret and stays at home, and why.
        suspects: Code that looks as if it held a secret, and why; it travels.
        local: The packages that travel as files and are not the project's own.
        dumps: What travels, and looks like a dump, a backup or a log.
    """

    files: Mapping[str, bytes]
    imports: frozenset[str]
    unmatched: tuple[int, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    suspects: Mapping[str, str] = field(default_factory=dict)
    local: tuple[LocalPackage, ...] = ()
    dumps: tuple[str, ...] = ()


def collect_sources(
    root: Path,
    handlers_dir: str,
    *,
    include: Sequence[str] = (),
    output_dir: str = ".output",
    public_dir: str = "public",
    entries: Iterable[str] | None = None,
    local: Iterable[LocalPackage] = (),
) -> Sources:
    """Collect the handlers' folder, the project's packages that it imports, and what the two import.

    A package travels whole, data files too. Its modules count for `imports` when something imports them: tests
    and scripts inside a package ask for nothing. Rubbish never travels, and secrets only if `include` names them.

    Args:
        root: The project's folder.
        handlers_dir: The folder of the route files, relative to it.
        include: Globs of further files that travel, relative to the root.
        output_dir: The folder that a build writes, which never travels.
        public_dir: The folder of the files served as they are, which does not travel as source.
        entries: The files whose imports count, relative to the root; by default every file of the handlers.
        local: Packages that travel as files, imported or not.

    Returns:
        The files and the imported packages.

    Raises:
        BuildError: A file is not valid Python, an import is neither the project's nor installed, or a link
            leaves the project.

    Example:
        >>> from tempfile import mkdtemp
        >>> root = Path(mkdtemp())
        >>> (root / "handlers").mkdir()
        >>> (root / "handlers/hello.py").write_text("import json, packaging.version")
        30
        >>> sources = collect_sources(root, "handlers")
        >>> list(sources.files), sorted(sources.imports)
        (['handlers/hello.py'], ['packaging'])
    """
    handlers = PurePosixPath(handlers_dir)
    left_out = (PurePosixPath(output_dir), PurePosixPath(public_dir))
    collector = _Collector(root.resolve(), handlers, left_out, include)
    collector.add_folder(handlers)
    for package in local:
        collector.add_local(package)
    unmatched = tuple(index for index, glob in enumerate(include) if not collector.add_glob(glob))
    if entries is None:
        entries = [path for path in collector.places if PurePosixPath(path).is_relative_to(handlers)]
    collector.follow(entries)
    files: dict[str, bytes] = {}
    suspects: dict[str, str] = {}
    dumps: list[str] = []
    for path, place in sorted(collector.places.items()):
        files[path] = read_file(place.parent, place.name)
        name = collector.show(path)
        what = None if name in collector.named else find_secret(PurePosixPath(path), files[path])
        if what is not None and path.endswith(".py"):
            suspects[name] = what
        elif what is not None:
            collector.secrets[name] = what
            del files[path]
        elif name not in collector.named and looks_like_dump(PurePosixPath(path), files[path], served=False):
            dumps.append(name)
    packages = tuple(collector.local[name] for name in sorted(collector.local))
    imports = frozenset(collector.imports)
    return Sources(files, imports, unmatched, collector.secrets, suspects, packages, tuple(dumps))


def describe_secrets(sources: Sources, public: PublicFolder) -> tuple[str, ...]:
    """Name what stays at home as it looks like a secret, and what travels although it looks like one."""
    lines = []
    if left := {**sources.secrets, **public.secrets}:
        listed = ", ".join(f"`{path}` ({why})" for path, why in sorted(left.items()))
        lines.append(f"Left out, as they look like secrets: {listed}; name a file in `include` to take it along")
    if sources.suspects:
        listed = ", ".join(f"`{path}` ({what})" for path, what in sorted(sources.suspects.items()))
        lines.append(f"In the bundle, although they look like secrets: {listed}")
    if sources.dumps:
        listed = ", ".join(f"`{path}`" for path in sources.dumps)
        lines.append(f"In the bundle, and looks like a dump, a backup or a log: {listed}")
    if public.dumps:
        listed = ", ".join(f"`{path}`" for path in public.dumps)
        lines.append(f"Served to everybody, and looks like a database, a backup or a log: {listed}")
    return tuple(lines)


class _Collector:
    """A walk along the imports, from file to file.

    `places` says which file of this machine stands at a path of the bundle. Those of the project keep their paths;
    those of local packages stand at the top.
    """

    def __init__(
        self, root: Path, handlers: PurePosixPath, left_out: Sequence[PurePosixPath], include: Sequence[str]
    ) -> None:
        self.root = root
        self.handlers = handlers
        self.left_out = left_out
        self.named = {str(PurePosixPath(glob)) for glob in include}
        self.places: dict[str, Path] = {}
        self.imports: set[str] = set()
        self.secrets: dict[str, str] = {}
        self.local: dict[str, LocalPackage] = {}
        self._bases: dict[str, PurePosixPath | None] = {}
        self._queue: list[str] = []
        self._seen: set[str] = set()

    def keep(self, path: PurePosixPath) -> bool:
        """Return whether a path of the project may travel, and note secrets that do not."""
        if any(path.is_relative_to(folder) for folder in self.left_out):
            return False
        if is_secret(path) and str(path) not in self.named:
            if not is_history(path):
                self.secrets[str(path)] = "by its name"
            return False
        return str(path) in self.named or travels(path)

    def add_folder(self, folder: PurePosixPath) -> None:
        """Take a folder of the project along."""
        for path in walk_files(self.root, folder, keep=self.keep):
            self._add(str(path), self.root / path)

    def add_glob(self, glob: str) -> bool:
        """Take along what a glob matches, and return whether there is anything."""
        parts = PurePosixPath(glob).parts
        start = PurePosixPath(*takewhile(lambda part: not set(part) & set("*?["), parts))
        # Not `exists` of the path's own, to which a name that is too long is an error.
        if not os.path.exists(self.root / start) or not self.keep(start):
            return False
        if (self.root / start).is_file():
            check_link(self.root, start)
            self._add(str(start), self.root / start)
            return True
        paths = [path for path in walk_files(self.root, start, keep=self.keep) if match_globs(path, [glob])]
        for path in paths:
            self._add(str(path), self.root / path)
        return bool(paths)

    def add_local(self, package: LocalPackage) -> None:
        """Take a package along that is no part of the project, or lies in another folder of it."""
        if package.name not in self.local:
            self.local[package.name] = package
            for target, file in package.files.items():
                self._add(target, file)

    def follow(self, entries: Iterable[str]) -> None:
        """Read the entries and all that they import."""
        for entry in entries:
            self._reach(entry)
        while self._queue:
            path = self._queue.pop()
            for item in find_imports(self.places[path].read_bytes(), self.show(path)):
                self._resolve(item, PurePosixPath(path))

    def show(self, path: str) -> str:
        """Name a file of the bundle as its author knows it."""
        place = self.places[path]
        return place.relative_to(self.root).as_posix() if place.is_relative_to(self.root) else str(place)

    def _add(self, target: str, place: Path) -> None:
        other = self.places.setdefault(target, place)
        if other != place:
            message = f"`{other}` and `{place}` have the same place in the bundle: `{target}`."
            raise BuildError(message, file=str(place), hint="Give one of them another name.")

    def _reach(self, path: str) -> None:
        """Add a module and its parent packages, which Python imports first, to the queue."""
        if path not in self.places or path in self._seen or not path.endswith(".py"):
            return
        self._seen.add(path)
        self._queue.append(path)
        for folder in PurePosixPath(path).parents:
            self._reach(str(folder / "__init__.py"))
            if folder.name:
                self._reach(f"{folder}.py")

    def _reach_module(self, parts: Sequence[str]) -> None:
        for end in range(1, len(parts) + 1):
            module = PurePosixPath(*parts[:end])
            self._reach(f"{module}.py")
            self._reach(str(module / "__init__.py"))

    def _resolve(self, item: Import, path: PurePosixPath) -> None:
        module = item.module.split(".") if item.module else []
        if item.level:
            package = path.parent.parts
            if item.level > len(package):
                # Python says so itself when it loads the file.
                return
            parts = [*package[: len(package) - item.level + 1], *module]
            if parts:
                self._take_beside(parts, item)
        else:
            base = self._find(module, item, self.show(str(path)))
            if base is None:
                return
            parts = [*base.parts, *module]
        self._reach_module(parts)
        for name in item.names:
            if name == "*":
                self._reach_children(PurePosixPath(*parts))
            else:
                self._reach_module([*parts, name])

    def _reach_children(self, package: PurePosixPath) -> None:
        for path in [path for path in self.places if PurePosixPath(path).parent == package]:
            self._reach(path)

    def _take_beside(self, parts: Sequence[str], item: Import) -> None:
        """Take along what a relative import reaches: it may leave the handlers, and lead into a package beside."""
        depth = 1 if parts[0] == _SOURCE.name and len(parts) > 1 else 0
        tops = [parts[depth]] if len(parts) > depth else [name for name in item.names if name != "*"]
        for name in tops:
            base = PurePosixPath(*parts[:depth])
            if not (base / name).is_relative_to(self.handlers):
                self._take_any(name, base)

    def _find(self, module: Sequence[str], item: Import, file: str) -> PurePosixPath | None:
        """Find where a module of the project is imported from, and take its top-level package along."""
        name = module[0]
        if name == "nitro_py":
            return None
        for base in _BASES:
            if (base / PurePosixPath(*module)).is_relative_to(self.handlers):
                return base
        if name == _SOURCE.name and (self.root / _SOURCE).is_dir() and not find_distributions(name):
            # As a package that is named like the folder.
            for child in module[1:2] or [one for one in item.names if one != "*"]:
                self._take_any(child, _SOURCE)
            return PurePosixPath(".")
        if name not in self._bases:
            self._bases[name] = self._find_base(name, file, item.line)
        base_found = self._bases[name]
        if base_found is None and name not in sys.stdlib_module_names:
            self._note_import(module, item, file)
        return base_found

    def _find_base(self, name: str, file: str, line: int) -> PurePosixPath | None:
        for base in _BASES:
            if name in sys.stdlib_module_names and self._is_module(name, base):
                found = base / name if (self.root / base / name).is_dir() else base / f"{name}.py"
                message = f"`{name}` is one of Python's own modules, and `{found}` has the same name."
                raise BuildError(message, file=file, line=line, hint=f"Rename `{found}`.")
            if self._take_module(name, base):
                return base
        if name in sys.stdlib_module_names:
            return None
        for provider in find_distributions(name):
            local = find_by_distribution(provider, self.root)
            if local is not None and local.files:
                self.add_local(local)
                return PurePosixPath(".")
        if find_distributions(name):
            return None
        for base in _BASES:
            if self._take_namespace(name, base):
                return base
        local = find_by_module(name, self.root)
        if local is not None:
            self.add_local(local)
            return PurePosixPath(".")
        return None

    def _note_import(self, module: Sequence[str], item: Import, file: str) -> None:
        providers = find_distributions(module[0])
        if len(providers) == 1:
            self.imports.add(module[0])
        elif providers:
            # Of a name that several share only what is imported ships.
            names = [name for name in item.names if name != "*"]
            self.imports.update(".".join([*module, name]) for name in names)
            if not names:
                self.imports.add(".".join(module))
        elif not item.optional:
            raise _not_found(".".join(module), file, item.line)

    def _is_module(self, name: str, base: PurePosixPath) -> bool:
        package, module = base / name, base / f"{name}.py"
        return ((self.root / package / "__init__.py").is_file() and self.keep(package)) or (
            (self.root / module).is_file() and self.keep(module)
        )

    def _take_module(self, name: str, base: PurePosixPath) -> bool:
        package, module = base / name, base / f"{name}.py"
        if (self.root / package / "__init__.py").is_file() and self.keep(package):
            self.add_folder(package)
        elif (self.root / module).is_file() and self.keep(module):
            check_link(self.root, module)
            self._add(str(module), self.root / module)
        else:
            return False
        return True

    def _take_any(self, name: str, base: PurePosixPath) -> bool:
        return self._take_module(name, base) or self._take_namespace(name, base)

    def _take_namespace(self, name: str, base: PurePosixPath) -> bool:
        folder = base / name
        if not (self.root / folder).is_dir() or not self.keep(folder):
            return False
        if any(path.suffix == ".py" for path in walk_files(self.root, folder, keep=self.keep)):
            self.add_folder(folder)
            return True
        return False


def _not_found(module: str, file: str, line: int) -> BuildError:
    name = module.partition(".")[0]
    loaded = sys.modules.get(name)
    spec = importlib.util.find_spec(name) if loaded is None else loaded.__spec__
    if spec is None or spec.origin is None:
        message = f"`{name}` is imported, but it is neither in the project nor installed."
        return BuildError(message, file=file, line=line, hint=f"Install {name_missing(module)}.")
    message = f"`{name}` is imported from outside the project, and no installed package provides it."
    hint = "Put it into the project, at its root or in `src/`, or give it a `pyproject.toml` and install it."
    return BuildError(message, file=file, line=line, hint=hint)
