"""Finding the route files, middleware and plugins of a project by their names; nothing is imported."""

from __future__ import annotations

import ast
import difflib
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPMethod
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from nitro_py.build.bundle.imports import find_imports
from nitro_py.build.bundle.tree import match_globs, read_file, walk_files
from nitro_py.capabilities import Mode, RouteMode
from nitro_py.errors import BuildError
from nitro_py.runtime.routing.methods import METHODS

_METHODS = tuple(method.lower() for method in METHODS)
# What is meant as a method, or as something like one, and would be a part of the path instead.
_NO_METHODS = frozenset(
    {*(method.lower() for method in HTTPMethod), "all", "any", "fetch", "http", "socket", "sse", "websocket", "ws"}
    | {"acl", "copy", "lock", "move", "propfind", "query", "report", "search", "unlock"}
    | {"development", "production"}
) - frozenset(_METHODS)
_LONG_MODES = {"development": "dev", "production": "prod"}
_STEM = re.compile(rf"(?P<name>.+?)(\.(?P<method>{'|'.join(_METHODS)}))?(\.(?P<mode>dev|prod))?", re.DOTALL)
_PARAMETER = re.compile(r"\[(\.\.\.)?(.*)\]", re.DOTALL)
_GROUP = re.compile(r"\([^()]+\)")
# How others write a parameter: `{id}`, `<id>`, `:id`.
_FOREIGN_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}|<(?:\w+:)?(\w+)>|:(\w+)")
_MODES: dict[str | None, RouteMode] = {None: "all", "dev": "development", "prod": "production"}
_ROLES = ("middleware", "plugins")
# No module needs these.
_HARMLESS = frozenset({"antigravity", "test", "this"})
# What a bundle's server and runtime import of other packages, which lie behind the project's modules.
_IMPORTED = frozenset(
    {
        "annotated_types",
        "anyio",
        "click",
        "h11",
        "httptools",
        "idna",
        "pydantic",
        "pydantic_core",
        "starlette",
        "typing_extensions",
        "typing_inspection",
        "uvicorn",
        "uvloop",
        "websockets",
    }
)
# `delet` is `delete`, and `git` is not `get`.
_CLOSE = 0.8
_NAME_HINT = "Write `[id]` for one segment, `[...slug]` or `[...]` for the rest of the path."


@dataclass(frozen=True, slots=True)
class RouteFile:
    """The route that a file serves, as its name has it.

    Args:
        file: The file, relative to the project, with slashes.
        path: The path in the syntax of file names: `/api/users/[id]`.
        methods: The methods that it serves; none means every method.
        mode: The mode that it is for.
    """

    file: str
    path: str
    methods: tuple[str, ...]
    mode: RouteMode


@dataclass(frozen=True, slots=True)
class Scan:
    """The files that a build is made of.

    Args:
        routes: The route files of the build's mode, sorted by path and file.
        middleware: Middleware files, in the order in which they run.
        plugins: Plugin files, in the order in which they start.
    """

    routes: tuple[RouteFile, ...]
    middleware: tuple[str, ...]
    plugins: tuple[str, ...]


def check_names(root: Path) -> None:
    """Refuse modules of a project that would be imported in the place of Python's own, or of a bundle's packages.

    Args:
        root: The project's folder.

    Raises:
        BuildError: There is one at the root or in `src/`.
    """
    for base in (PurePosixPath("."), PurePosixPath("src")):
        for place in sorted((root / base).iterdir()) if (root / base).is_dir() else ():
            name = place.name.removesuffix(".py")
            if name in sys.stdlib_module_names - _HARMLESS:
                owner = "one of Python's own modules"
            elif name in _IMPORTED:
                owner = "a package that bundles need"
            else:
                continue
            if (place.suffix == ".py" and place.is_file()) or (place / "__init__.py").is_file():
                found = base / place.name
                raise BuildError(
                    f"`{found}` has the name of {owner}, and would be imported in its place.",
                    file=str(found),
                    hint=f"Rename `{found}`.",
                )


def scan_handlers(root: Path, handlers_dir: str, ignore: Sequence[str], mode: Mode) -> Scan:
    """Find the files that a build is made of.

    Args:
        root: The project's folder.
        handlers_dir: The folder of the route files, relative to it.
        ignore: Globs of files that are left out, relative to `handlers_dir`.
        mode: What the build is for; files of another mode are left out.

    Returns:
        The files, in an order that depends on their names only.

    Raises:
        BuildError: The folder is missing, a name is wrong, two files are the same route, or a link leaves
            the project.

    Example:
        >>> from tempfile import mkdtemp
        >>> root = Path(mkdtemp())
        >>> (root / "handlers").mkdir()
        >>> (root / "handlers/hello.get.py").touch()
        >>> scan_handlers(root, "handlers", (), "production").routes[0].path
        '/hello'
    """
    folder = PurePosixPath(handlers_dir)
    if not (root / folder).is_dir():
        raise BuildError(
            f"There is no folder `{folder}`.",
            file=str(folder),
            hint=_hint_at_folder(root, folder),
        )

    def keep(path: PurePosixPath) -> bool:
        return not path.name.startswith(("_", ".")) and not match_globs(path.relative_to(folder), ignore)

    files = [path for path in walk_files(root, folder, keep=keep) if path.suffix == ".py"]
    _check_misplaced(root, folder, files)
    roles = {role: [path for path in files if path.is_relative_to(folder / role)] for role in _ROLES}
    taken = {path for paths in roles.values() for path in paths}
    routes = [_read_name(path, path.relative_to(folder)) for path in files if path not in taken]
    _check_duplicates(routes)
    return Scan(
        routes=tuple(sorted(_pick_mode(routes, mode), key=lambda route: (route.path, route.file))),
        middleware=_direct(roles["middleware"], folder / "middleware"),
        plugins=_direct(roles["plugins"], folder / "plugins"),
    )


def _hint_at_folder(root: Path, folder: PurePosixPath) -> str:
    """Return where the project may be that has the folder of route files, or what that may be called here."""
    around = next((path for path in list(root.parents)[:3] if (path / folder).is_dir()), None)
    if around is not None:
        up = "/".join([".."] * (len(root.parts) - len(around.parts)))
        return f"The project is in `{up}`: change into that folder, and run the command again."
    try:
        inside = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        inside = []
    projects = [name for name in inside if (root / name / folder).is_dir()]
    if projects:
        return f"The project is in `{projects[0]}`: change into that folder, and run the command again."
    near = difflib.get_close_matches(str(folder), inside, n=1, cutoff=0.75)
    if near:
        return f'Rename `{near[0]}` to `{folder}`, or set `handlers_dir = "{near[0]}"`.'
    return "Run `nitropy init DIR` for a new app, or set `handlers_dir` to the folder of the route files."


def _check_misplaced(root: Path, folder: PurePosixPath, files: Sequence[PurePosixPath]) -> None:
    """Refuse middleware and plugins that lie where none are looked for, and would never run."""
    imported = _Imported(root, files)
    for role in _ROLES:
        word = f"define_{role.removesuffix('s')}"
        home = folder / role
        deeper = [path for path in files if path.is_relative_to(home) and path.parent != home]
        outside = [path for path in _list_python(root, PurePosixPath(role)) if not path.is_relative_to(folder)]
        for path in (*deeper, *outside):
            if _calls(root / path, word) and not imported.has(path):
                raise BuildError(
                    f"`{path}` has a {role.removesuffix('s')} that never runs: they are looked for in `{home}/`.",
                    file=str(path),
                    hint=f"Move it to `{home}/{path.name}`.",
                )


def _list_python(root: Path, folder: PurePosixPath) -> list[PurePosixPath]:
    if not (root / folder).is_dir():
        return []
    return [folder / path.name for path in sorted((root / folder).glob("*.py")) if not path.name.startswith("_")]


def _calls(file: Path, function: str) -> bool:
    """Return whether a file decorates with a function, or calls it."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return False
    for node in ast.walk(tree):
        used = node.decorator_list if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
        used = [*used, node.func] if isinstance(node, ast.Call) else used
        if any(ast.unparse(item).rpartition(".")[2].partition("(")[0] == function for item in used):
            return True
    return False


class _Imported:
    """The modules that a project's handlers import, read once and only if needed."""

    def __init__(self, root: Path, files: Sequence[PurePosixPath]) -> None:
        self._root = root
        self._files = files

    def has(self, path: PurePosixPath) -> bool:
        """Return whether a handler's file imports a file of the project, by its name alone."""
        return any(path.stem in names or path.parent.name in names for names in self._names)

    @cached_property
    def _names(self) -> list[set[str]]:
        found = []
        for file in self._files:
            imports = find_imports(read_file(self._root, file), str(file))
            found.append({part for item in imports for part in (*item.module.split("."), *item.names)})
        return found


def _direct(paths: Iterable[PurePosixPath], folder: PurePosixPath) -> tuple[str, ...]:
    """Leave out what lies deeper: a helper's folder beside middleware is not middleware."""
    return tuple(str(path) for path in paths if path.parent == folder)


def _read_name(file: PurePosixPath, relative: PurePosixPath) -> RouteFile:
    found = _STEM.fullmatch(relative.stem)
    # The name may be any text but none, and a file without a name is hidden.
    assert found is not None
    if found["method"] is None:
        _check_method(found["name"], file)
    else:
        _check_one_method(found["name"], found["method"], file)
    folders = [part for part in relative.parent.parts if _GROUP.fullmatch(part) is None]
    last = [] if found["name"] == "index" else [found["name"]]
    segments = [_read_segment(part, file) for part in [*folders, *last]]
    for segment in segments[: len(folders)]:
        if segment.startswith("[..."):
            message = f"`{segment}` takes the rest of the path, and `{file}` puts more behind it."
            raise BuildError(message, file=str(file), hint=f"Make it a file: `{segment}.py`.")
    _check_parameters(segments, file)
    return RouteFile(
        file=str(file),
        path="/" + "/".join(segments),
        methods=(found["method"].upper(),) if found["method"] else (),
        mode=_MODES[found["mode"]],
    )


def _read_segment(name: str, file: PurePosixPath) -> str:
    if "[" in name or "]" in name:
        found = _PARAMETER.fullmatch(name)
        if found is None or not (found[2].isidentifier() or (found[1] and not found[2])):
            message = f"`{name}` in `{file}` is not a parameter: expected an identifier in brackets."
            raise BuildError(message, file=str(file), hint=_NAME_HINT)
        return name
    if foreign := _FOREIGN_PARAMETER.fullmatch(name):
        message = f"`{name}` in `{file}` is not how a parameter is written."
        raise BuildError(message, file=str(file), hint=f"Write `[{foreign[foreign.lastindex or 0]}]`.")
    # Some file systems take accents apart; clients send them as one character.
    text = unicodedata.normalize("NFC", unquote(name))
    if any(character in text for character in "/[]\ufffd") or text in (".", ".."):
        message = f"`{name}` in `{file}` does not decode to one segment of a path."
        raise BuildError(message, file=str(file), hint="Write the name without percent signs.")
    return text


def _check_method(name: str, file: PurePosixPath) -> None:
    """Refuse a file name that ends in a misspelt method, such as `users.gte.py`."""
    stem, _, last = name.rpartition(".")
    if not stem or last.endswith("]"):
        return
    meant = _find_meant(last, _METHODS)
    if meant is not None or last.lower() in _NO_METHODS:
        meant = meant or _LONG_MODES.get(last.lower())
        did_you_mean = f"Did you mean `{stem}.{meant}.py`?" if meant else f"`{stem}.py` serves every method."
        raise BuildError(
            f"`{last}` in `{file}` is not a method: expected one of {', '.join(f'`{one}`' for one in _METHODS)}.",
            file=str(file),
            hint=f"{did_you_mean} To serve the path `{name}`, say the method: `{name}.get.py`.",
        )


def _check_one_method(name: str, method: str, file: PurePosixPath) -> None:
    """Refuse a second method: the path that the first would be part of is not meant."""
    stem, _, last = name.rpartition(".")
    if stem and last in _METHODS:
        message = f"`{file}` names the methods `{last}` and `{method}`, and a file has one or every method."
        raise BuildError(
            message, file=str(file), hint=f"Write one file for each, or `{stem}.py` for every method."
        )


def _find_meant(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that a word is with other case, with letters swapped, or with one too many or too few."""
    small = word.lower()
    for choice in choices:
        swapped = small[:1] == choice[:1] and sorted(small) == sorted(choice)
        if swapped or difflib.SequenceMatcher(None, small, choice).ratio() > _CLOSE:
            return choice
    return None


def _check_parameters(segments: Sequence[str], file: PurePosixPath) -> None:
    names = [segment[1:-1].removeprefix("...") or "_" for segment in segments if segment.startswith("[")]
    for name in names:
        if names.count(name) > 1:
            message = f"The parameter `{name}` stands twice in the path of `{file}`."
            raise BuildError(message, file=str(file), hint="Give each parameter its own name.")


def _shape(path: str) -> str:
    """Return the path without the names of its parameters: what the router tells apart."""
    return re.sub(r"\[(\.\.\.)?\w*\]", r"[\1]", path)


def _check_duplicates(routes: Iterable[RouteFile]) -> None:
    first: dict[tuple[str, tuple[str, ...], RouteMode], RouteFile] = {}
    for route in routes:
        other = first.setdefault((_shape(route.path), route.methods, route.mode), route)
        if other is not route:
            name = " ".join([*(route.methods or ("every method of",)), f"`{route.path}`"])
            mode = "" if route.mode == "all" else f" in {route.mode}"
            message = f"`{other.file}` and `{route.file}` both serve {name}{mode}."
            hint = "Delete one of them, or give it another name or method."
            raise BuildError(message, file=route.file, hint=hint)


def _pick_mode(routes: Sequence[RouteFile], mode: Mode) -> list[RouteFile]:
    """Pick the files for a mode; where one is for that mode only, it replaces the one for all."""
    special = {(_shape(route.path), route.methods) for route in routes if route.mode == mode}
    return [
        route
        for route in routes
        if route.mode == mode or (route.mode == "all" and (_shape(route.path), route.methods) not in special)
    ]
