"""Packages that no index has: members of a workspace, and what is installed from a folder or a file."""

from __future__ import annotations

import ast
import importlib.util
import json
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from nitro_py.build.bundle.exclude import travels
from nitro_py.build.bundle.tree import walk_files

_PROJECT_FILES = ("pyproject.toml", "setup.cfg", "setup.py")
_COMPILED = (".dylib", ".pyd", ".so")
# What of the metadata an app may ask for.
_METADATA = ("METADATA", "entry_points.txt", "top_level.txt")


@dataclass(frozen=True, slots=True)
class LocalPackage:
    """A package that travels as its files are on this machine.

    Args:
        name: Its canonical name.
        files: Path in the bundle → file.
        folder: The folder of its project, where there is one.
        requires: What it requires, where its metadata is installed.
    """

    name: str
    files: Mapping[str, Path]
    folder: Path | None = None
    requires: tuple[str, ...] = ()


def find_by_distribution(name: str, root: Path) -> LocalPackage | None:
    """Find an installed distribution that was installed from this machine.

    Args:
        name: The distribution's name.
        root: The project's folder; its own installation has no files besides it.

    Returns:
        The package; `None` if it is not installed, if other machines can install it, or if it is compiled.
    """
    try:
        installed = distribution(name)
    except (PackageNotFoundError, ValueError):
        return None
    text = installed.read_text("direct_url.json")
    if text is None:
        return None
    origin = json.loads(text)
    if "dir_info" not in origin and not origin["url"].startswith("file:"):
        return None
    folder = Path(unquote(urlsplit(origin["url"]).path)).resolve()
    canonical = str(canonicalize_name(name))
    requires = tuple(text for text in installed.requires or () if "extra ==" not in text)
    if folder == root:
        return LocalPackage(canonical, {}, folder, requires)
    editable = origin.get("dir_info", {}).get("editable", False)
    files = _list_editable(installed, folder) if editable else _list_installed(installed)
    if any(path.endswith(_COMPILED) for path in files):
        return None
    return LocalPackage(canonical, {**files, **_list_metadata(installed)}, folder, requires)


def find_by_module(name: str, root: Path) -> LocalPackage | None:
    """Find a package that can be imported, and that is in the project or has a project of its own.

    Args:
        name: The top-level name that is imported.
        root: The project's folder.
    """
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = [*(spec.submodule_search_locations or [spec.origin or ""])]
    found = [Path(place).resolve() for place in places if Path(place).exists()]
    files: dict[str, Path] = {}
    folder: Path | None = None
    for place in found:
        if _is_installed(place):
            return None
        project = find_project(place)
        if not place.is_relative_to(root) and project is None:
            return None
        folder = folder or project
        files |= _list_package(place, name)
    return LocalPackage(str(canonicalize_name(name)), files, folder) if files else None


def find_in_folder(name: str, folder: Path) -> LocalPackage | None:
    """Find the modules of a project by its name, where its folder is all that is known."""
    module = canonicalize_name(name).replace("-", "_")
    for base in (folder / "src", folder):
        for place in (base / module, base / f"{module}.py"):
            if place.exists():
                return LocalPackage(str(canonicalize_name(name)), _list_package(place, module), folder)
    return None


def find_project(place: Path) -> Path | None:
    """Return the folder of the project that a file or folder belongs to."""
    for folder in place.parents:
        if any((folder / name).is_file() for name in _PROJECT_FILES):
            return folder
    return None


def _is_installed(place: Path) -> bool:
    paths = sysconfig.get_paths()
    roots = [Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    packages = {"site-packages", "dist-packages"} & {*place.parts}
    return bool(packages) or any(place.is_relative_to(root) for root in roots)


def _list_package(place: Path, name: str) -> dict[str, Path]:
    if place.is_file():
        return {f"{name}{place.suffix}": place}
    base = place.parent
    folder = PurePosixPath(place.name)
    listed = walk_files(base, folder, keep=lambda path: travels(path.relative_to(folder)))
    return {str(PurePosixPath(name, *path.parts[1:])): base / path for path in listed}


def _list_installed(installed: Distribution) -> dict[str, Path]:
    found = {}
    for file in installed.files or ():
        path = PurePosixPath(str(file))
        if ".." not in path.parts and travels(path) and not path.parts[0].endswith((".dist-info", ".data")):
            found[str(path)] = Path(str(file.locate()))
    return found


def _list_metadata(installed: Distribution) -> dict[str, Path]:
    return {
        str(file): Path(str(file.locate()))
        for file in installed.files or ()
        if file.name in _METADATA and file.parent.name.endswith(".dist-info")
    }


def _list_editable(installed: Distribution, folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name, place in _find_modules(installed, folder):
        if place.exists():
            found |= _list_package(place.resolve(), name)
    return found


def _find_modules(installed: Distribution, folder: Path) -> Iterator[tuple[str, Path]]:
    """Find the modules of an editable installation, by the files that make them importable."""
    named = canonicalize_name(installed.name).replace("-", "_")
    for file in installed.files or ():
        path = Path(str(file.locate()))
        if file.suffix == ".pth" and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                if line and not line.startswith("import ") and Path(line).is_dir():
                    yield from _list_modules(Path(line), folder, named)
        elif file.name.startswith("__editable__") and file.suffix == ".py" and path.is_file():
            for name, place in _read_mapping(path).items():
                yield name, Path(place) if Path(place).exists() else Path(f"{place}.py")


def _list_modules(base: Path, folder: Path, named: str) -> Iterator[tuple[str, Path]]:
    # In a folder of their own all modules are the package's; beside tests and scripts, those of its name.
    alone = base.resolve() != folder
    for place in sorted(base.iterdir()):
        name = place.name.removesuffix(".py")
        if not name.isidentifier() or not (place.suffix == ".py" or (place / "__init__.py").is_file()):
            continue
        if alone or name == named:
            yield name, place


def _read_mapping(finder: Path) -> dict[str, str]:
    """Read which modules the finder of an editable installation by setuptools knows."""
    for node in ast.parse(finder.read_bytes()).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "MAPPING" and node.value is not None:
            mapping: dict[str, str] = ast.literal_eval(node.value)
            return mapping
    return {}
