"""Collecting the project's files that travel in a bundle, and the packages that they import."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath

from nitro_py.build.bundle.dependencies import find_distributions
from nitro_py.build.bundle.exclude import travels
from nitro_py.build.bundle.imports import Import, find_imports
from nitro_py.build.bundle.tree import check_link, match_globs, read_file, walk_files
from nitro_py.errors import BuildError


def collect_public(root: Path, public_dir: str) -> dict[str, bytes]:
    """Read the files that are served as they are.

    Args:
        root: The project's folder.
        public_dir: The folder, relative to it; it need not exist.

    Returns:
        Path below the folder → bytes, sorted.

    Raises:
        BuildError: A symbolic link leads out of the folder, nowhere or in a circle.
    """
    if not (root / public_dir).is_dir():
        return {}
    folder = PurePosixPath(public_dir)
    base = (root / folder).resolve()
    found: dict[str, bytes] = {}
    for path in walk_files(root, folder, keep=lambda path: travels(path.relative_to(folder))):
        real = (root / path).resolve()
        if not real.is_relative_to(base):
            raise BuildError(
                f"`{path}` is a symbolic link out of `{public_dir}`: its target would be served to all clients.",
                file=str(path),
                hint="Copy the file into the folder, or remove the link.",
            )
        found[str(path.relative_to(folder))] = read_file(root, path)
    return found


# Where a project keeps its packages; in a bundle all of them stand at the top.
_BASES = (PurePosixPath("."), PurePosixPath("src"))


@dataclass(frozen=True, slots=True)
class Sources:
    """What the handlers need to run.

    Args:
        files: The project's files that travel: path in the bundle → bytes, sorted by path.
        imports: The top-level names of the third-party packages that they import.
        unmatched: The globs of `include` that no file fits, by their places in the list.
    """

    files: Mapping[str, bytes]
    imports: frozenset[str]
    unmatched: tuple[int, ...] = ()


def collect_sources(
    root: Path,
    handlers_dir: str,
    *,
    include: Sequence[str] = (),
    output_dir: str = ".output",
    public_dir: str = "public",
    entries: Iterable[str] | None = None,
) -> Sources:
    """Collect the handlers' folder, the project's packages that it imports, and what the two import.

    A package travels whole, data files too. Its modules count for `imports` when something imports them: tests
    and scripts inside a package ask for nothing. Secrets and rubbish never travel.

    Args:
        root: The project's folder.
        handlers_dir: The folder of the route files, relative to it.
        include: Globs of further files that travel, relative to the root.
        output_dir: The folder that a build writes, which never travels.
        public_dir: The folder of the files served as they are, which does not travel as source.
        entries: The files whose imports count, relative to the root; by default every file of the handlers.

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
    collector = _Collector(root.resolve(), handlers, left_out)
    collector.add_folder(handlers, PurePosixPath("."))
    unmatched = tuple(index for index, glob in enumerate(include) if not collector.add_glob(glob))
    if entries is None:
        entries = [path for path in collector.places if PurePosixPath(path).is_relative_to(handlers)]
    collector.follow(entries)
    files = {path: read_file(root, place) for path, place in sorted(collector.places.items())}
    return Sources(files, frozenset(collector.imports), unmatched)


class _Collector:
    """A walk along the imports, from file to file.

    `places` says where in the project each file of the bundle stands.
    """

    def __init__(self, root: Path, handlers: PurePosixPath, left_out: Sequence[PurePosixPath]) -> None:
        self.root = root
        self.handlers = handlers
        self.left_out = left_out
        self.places: dict[str, PurePosixPath] = {}
        self.imports: set[str] = set()
        self._packages: dict[str, bool] = {}
        self._queue: list[str] = []
        self._seen: set[str] = set()

    def keep(self, path: PurePosixPath) -> bool:
        """Return whether a path of the project may travel."""
        return travels(path) and not any(path.is_relative_to(folder) for folder in self.left_out)

    def add_folder(self, folder: PurePosixPath, base: PurePosixPath) -> None:
        """Take a folder along, placed in the bundle as it stands below `base`."""
        for path in walk_files(self.root, folder, keep=self.keep):
            self._add(path, base)

    def add_glob(self, glob: str) -> bool:
        """Take along what a glob matches, and return whether there is anything."""
        parts = PurePosixPath(glob).parts
        start = PurePosixPath(*takewhile(lambda part: not set(part) & set("*?["), parts))
        # Not `exists` of the path's own, to which a name that is too long is an error.
        if not os.path.exists(self.root / start) or not self.keep(start):
            return False
        if (self.root / start).is_file():
            check_link(self.root, start)
            self._add(start, PurePosixPath("."))
            return True
        paths = [path for path in walk_files(self.root, start, keep=self.keep) if match_globs(path, [glob])]
        for path in paths:
            self._add(path, PurePosixPath("."))
        return bool(paths)

    def follow(self, entries: Iterable[str]) -> None:
        """Read the entries and all that they import."""
        for entry in entries:
            self._reach(entry)
        while self._queue:
            path = self._queue.pop()
            place = self.places[path]
            for item in find_imports(read_file(self.root, place), str(place)):
                self._resolve(item, PurePosixPath(path))

    def _add(self, path: PurePosixPath, base: PurePosixPath) -> None:
        target = str(path.relative_to(base))
        other = self.places.setdefault(target, path)
        if other != path:
            message = f"`{other}` and `{path}` have the same place in the bundle: `{target}`."
            raise BuildError(message, file=str(path), hint="Give one of them another name.")

    def _reach(self, path: str) -> None:
        """Add a module and its parent packages, which Python imports first, to the queue."""
        if path not in self.places or path in self._seen or not path.endswith(".py"):
            return
        self._seen.add(path)
        self._queue.append(path)
        for folder in PurePosixPath(path).parents:
            self._reach(str(folder / "__init__.py"))

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
            module = [*package[: len(package) - item.level + 1], *module]
        inside = PurePosixPath(*module).is_relative_to(self.handlers)
        if not inside and not self._find(module[0], item, str(self.places[str(path)])):
            return
        self._reach_module(module)
        for name in item.names:
            if name == "*":
                self._reach_children(PurePosixPath(*module))
            else:
                self._reach_module([*module, name])

    def _reach_children(self, package: PurePosixPath) -> None:
        for path in [path for path in self.places if PurePosixPath(path).parent == package]:
            self._reach(path)

    def _find(self, name: str, item: Import, file: str) -> bool:
        """Return whether a top-level name is the project's, and take its package along."""
        if name == "nitro_py":
            return False
        if name not in self._packages:
            self._packages[name] = self._take_module(name, file, item.line) or (
                name not in sys.stdlib_module_names and not find_distributions(name) and self._take_namespace(name)
            )
        if not self._packages[name] and name not in sys.stdlib_module_names:
            if find_distributions(name):
                self.imports.add(name)
            elif not item.optional:
                raise _not_found(name, file, item.line)
        return self._packages[name]

    def _take_module(self, name: str, file: str, line: int) -> bool:
        for base in _BASES:
            package, module = base / name, base / f"{name}.py"
            regular = (self.root / package / "__init__.py").is_file() and self.keep(package)
            if not regular and not ((self.root / module).is_file() and self.keep(module)):
                continue
            found = package if regular else module
            if name in sys.stdlib_module_names:
                message = f"`{name}` is one of Python's own modules, and `{found}` has the same name."
                raise BuildError(message, file=file, line=line, hint=f"Rename `{found}`.")
            if regular:
                self.add_folder(package, base)
            else:
                check_link(self.root, module)
                self._add(module, base)
            return True
        return False

    def _take_namespace(self, name: str) -> bool:
        for base in _BASES:
            folder = base / name
            if not (self.root / folder).is_dir() or not self.keep(folder):
                continue
            if any(path.suffix == ".py" for path in walk_files(self.root, folder, keep=self.keep)):
                self.add_folder(folder, base)
                return True
        return False


def _not_found(name: str, file: str, line: int) -> BuildError:
    loaded = sys.modules.get(name)
    spec = importlib.util.find_spec(name) if loaded is None else loaded.__spec__
    if spec is None or spec.origin is None:
        message = f"`{name}` is imported, but it is neither in the project nor installed."
        return BuildError(message, file=file, line=line, hint="Install the package that provides it.")
    message = f"`{name}` is imported from outside the project, and no installed package provides it."
    hint = "Put it into the project, at its root or in `src/`."
    return BuildError(message, file=file, line=line, hint=hint)
