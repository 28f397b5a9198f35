"""The build's child process: imports handler files and describes what each of them defines."""

from __future__ import annotations

import ast
import faulthandler
import json
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any

import nitro_py
from nitro_py.build.bundle.names import CLOSE, name_missing
from nitro_py.build.inspect.habits import Habit, find_foreign, find_habit, find_unmade
from nitro_py.build.inspect.kinds import has_sockets, promises_stream
from nitro_py.build.inspect.signatures import check_signatures, describe_call, find_application
from nitro_py.errors import NitroError
from nitro_py.handler import Handler
from nitro_py.middleware import Middleware
from nitro_py.mount import MountedApp
from nitro_py.plugins import Plugin
from nitro_py.runtime.annotations import list_layers
from nitro_py.runtime.routing.loader import find_exports, load_file
from nitro_py.websocket import WebSocketHandler

if TYPE_CHECKING:
    from nitro_py.runtime.routing.loader import AnyHandler

# How many times longer than the limit what cannot be watched may take.
PATIENCE = 3
# How others could take the name of our package to be.
_WRONG_PACKAGES = ("nitro", "nitropy", "nitropy_kit")
_LINES = "`@define_handler` above a function, or `handler = define_websocket_handler(…)`"
Findings = dict[str, dict[str, Any]]
HANDLER_TYPES: tuple[type[AnyHandler], ...] = (Handler, WebSocketHandler, MountedApp)


def main() -> None:
    """Read a request from standard input, and write the findings into the folder named by the first argument.

    Beside them come the file that is begun with, a line of JSON each, and where an import hangs that takes too
    long, which also ends the process.
    """
    request = json.load(sys.stdin)
    root, folder = Path(request["root"]), Path(sys.argv[1])
    looks: dict[str, Callable[[str], Any]] = {
        "middleware": lambda file: _expect_one(root, file, Middleware, "middleware"),
        "plugins": lambda file: _expect_one(root, file, Plugin, "plugin"),
        "routes": lambda file: describe_handler(_expect_handler(root, file)),
    }
    findings: Findings = {}
    with (
        open(folder / "begun.txt", "w", encoding="ascii", buffering=1) as begun,
        open(folder / "stuck.txt", "w", encoding="ascii") as stuck,
    ):
        watch = ImportWatch(request["timeout"], stuck)
        for role, look in looks.items():
            for file in request[role]:
                begun.write(f"{json.dumps(file)}\n")
                watch.begin()
                findings[file] = inspect_file(root, file, look)
        watch.end()
    # Written in one step: a process that ends in the middle of it has given no answer.
    (folder / "findings.part").write_text(json.dumps(findings), encoding="utf-8")
    (folder / "findings.part").rename(folder / "findings.json")


class ImportWatch:
    """A limit on how long the import of one file takes; past it the process ends, and says where it was.

    Time in which the system let other processes run does not count: on a busy machine everything takes longer.

    Args:
        seconds: The limit; 0 = none.
        file: The file that takes the stacks of all threads.
    """

    def __init__(self, seconds: float, file: IO[str]) -> None:
        self._seconds = seconds
        self._file = file
        self._began: float | None = None
        if seconds:
            threading.Thread(target=self._watch, daemon=True).start()

    def begin(self) -> None:
        """Begin with a file."""
        self._began = time.monotonic() - read_run_delay()
        if self._seconds:
            # For what holds the interpreter's lock, and so our thread up: a loop in compiled code.
            faulthandler.dump_traceback_later(PATIENCE * self._seconds, exit=True, file=self._file)

    def end(self) -> None:
        """End with the last file."""
        self._began = None
        faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        while True:
            time.sleep(min(0.1, self._seconds / 4))
            began = self._began
            if began is not None and time.monotonic() - read_run_delay() - began > self._seconds:
                faulthandler.dump_traceback(self._file, all_threads=True)
                os._exit(1)


def read_run_delay() -> float:
    """Return how long this process's main thread was ready and had no processor, in seconds; 0 if unknown."""
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/schedstat").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return int(text.split()[1]) / 1e9


def inspect_file(root: Path, file: str, look: Callable[[str], Any]) -> dict[str, Any]:
    """Inspect one file, and describe what it defines, or the error and its place."""
    try:
        return {"found": look(file)}
    except NitroError as error:
        return _problem(error.message, error.file or file, error.line, error.hint)
    except SyntaxError as error:
        place = _relative(root, error.filename) or file
        text = (error.text or "").strip()
        # It is 0 where no line is to blame, but the encoding.
        line, hint = error.lineno or None, text and f"Look at: {text}"
        if text.startswith(("export ", "exports ")):
            hint = f"{hint}. In Python, write {_LINES}."
        return _problem(f"`{place}` is not valid Python: {error.msg}.", place, line, hint)
    except ImportError as error:
        place, line = _last_place(root, file, error)
        hint = _hint_at(root, place, line, error)
        if place == file and (habit := _find_habit(root, file)) is not None:
            hint = f"{hint} {habit.hint}"
        return _problem(f"`{file}` cannot be imported: {error}.", place, line, hint)
    except BaseException as error:  # whatever a handler's top level raises, SystemExit included
        place, line = _last_place(root, file, error)
        if (variable := _find_unset_variable(error)) is not None:
            return _problem(
                f"`{file}` reads the variable `{variable}` while it is imported, and that is not set.",
                place,
                line,
                "Set it in the environment, or read it in a handler or a plugin, once the app runs. "
                "`.env` counts for `nitropy dev`, `nitropy preview` and tests, and not for a build.",
            )
        message = f"`{file}` failed while it was imported: {type(error).__name__}: {error}"
        if isinstance(error, NameError) and error.name and place == file:
            unmade = find_unmade((root / file).read_bytes(), file, error.name)
            if unmade is not None:
                return _problem(message, place, unmade.line, unmade.hint)
        return _problem(message, place, line, _hint_at_failure(root, place, line, error))


def describe_handler(handler: AnyHandler) -> dict[str, Any]:
    """Describe a handler in the manifest's words."""
    if isinstance(handler, WebSocketHandler):
        needs = ("websocket", "streaming") if _streams(handler.http) else ("websocket",)
        return {"kind": "websocket", "hooks": handler.hooks, "requires": needs, "mounted": False}
    if isinstance(handler, MountedApp):
        sockets = has_sockets(handler.app) if handler.sockets is None else handler.sockets
        needs = ("http", "websocket.mounted") if sockets else ("http",)
        return {"kind": "http", "hooks": (), "requires": needs, "mounted": True}
    streams = _streams(handler)
    requires = ("http", *(("streaming",) if streams else ()), *(("topics.sse",) if handler.topics else ()))
    return {"kind": "sse" if streams else "http", "hooks": (), "requires": requires, "mounted": False}


def _streams(answers: Handler | Callable[..., Any] | None) -> bool:
    if isinstance(answers, Handler):
        return answers.streams or promises_stream(answers.function)
    return answers is not None and promises_stream(answers)


def _expect_handler(root: Path, file: str) -> AnyHandler:
    module = load_file(root, file)
    found = {name: item for kind in HANDLER_TYPES for name, item in find_exports(module, kind).items()}
    if len(found) == 1:
        handler = next(iter(found.values()))
        check_signatures(root, file, handler)
        _check_foreign(root, file)
        return handler
    if not found:
        _check_meant(root, file, module)
        raise _missing_handler(root, file, module)
    names = ", ".join(f"`{name}`" for name in found)
    raise NitroError(
        f"`{file}` has {len(found)} handlers: expected exactly one, got {names}.",
        file=file,
        line=_line_of(root, file, list(found)[1]),
        hint="Move each handler into a file of its own.",
    )


def _missing_handler(root: Path, file: str, module: ModuleType) -> NitroError:
    habit = find_habit((root / file).read_bytes(), file)
    application = find_application(module)
    if application is not None and (habit is None or not habit.made):
        line, found = _line_of(root, file, application), f"the ASGI application `{application}`"
        habit = Habit(found, line, f"Mount it: `handler = mount_asgi({application})`.", made=True)
    if habit is None:
        hint = f"Write {_LINES}; a helper's file name starts with `_`."
        return NitroError(f"`{file}` has no handler: expected exactly one.", file=file, line=1, hint=hint)
    message = f"`{file}` has no handler: expected exactly one, got {habit.found}."
    return NitroError(message, file=file, line=habit.line, hint=habit.hint)


def _find_habit(root: Path, file: str) -> Habit | None:
    """Find what a file that cannot be imported has in the place of a handler."""
    source = (root / file).read_bytes()
    return None if b"define_" in source or b"mount_asgi" in source else find_habit(source, file)


def _check_foreign(root: Path, file: str) -> None:
    habit = find_foreign((root / file).read_bytes())
    if habit is not None:
        raise NitroError(
            f"`{file}` uses {habit.found}, which works only inside of an application of that framework.",
            file=file,
            line=habit.line,
            hint=habit.hint,
        )


def _check_meant(root: Path, file: str, module: ModuleType) -> None:
    """Say what is in the way of what a file without a handler defines."""
    for name, value in vars(module).items():
        if isinstance(value, HANDLER_TYPES) or not callable(value):
            continue
        if any(isinstance(layer, HANDLER_TYPES) for layer in list_layers(value)):
            raise NitroError(
                f"`{file}` has no handler: `{name}` wraps one in another decorator.",
                file=file,
                line=_line_of(root, file, name),
                hint="Put `@define_handler` above the other decorators.",
            )
    for kind, noun, folder in ((Middleware, "middleware", "middleware"), (Plugin, "plugin", "plugins")):
        for name in find_exports(module, kind):
            raise NitroError(
                f"`{file}` has no handler, but a {noun}: expected exactly one handler.",
                file=file,
                line=_line_of(root, file, name),
                hint=f"Move it into the folder `{folder}/` of the handlers.",
            )


def _expect_one(root: Path, file: str, kind: type[Any], noun: str) -> None:
    found = find_exports(load_file(root, file), kind)
    if len(found) != 1:
        line = _line_of(root, file, list(found)[1]) if found else 1
        raise NitroError(
            f"`{file}` has {len(found) or 'no'} {noun}: expected exactly one.",
            file=file,
            line=line,
            hint=f"Decorate one function with `@define_{noun}`.",
        )
    check_signatures(root, file, next(iter(found.values())))


def _find_unset_variable(error: BaseException) -> str | None:
    """Return the variable that `os.environ[…]` did not find."""
    frames = traceback.extract_tb(error.__traceback__)
    # It raises a `KeyError` of its own, with the name as text.
    raised = isinstance(error, KeyError) and frames and frames[-1].filename in (os.__file__, "<frozen os>")
    return str(error.args[0]) if raised and isinstance(error, KeyError) else None


def _hint_at_failure(root: Path, place: str, line: int | None, error: BaseException) -> str | None:
    """Return a hint for an error of an import, such as a `define_…` with wrong arguments."""
    called = re.match(r"`?(define_\w+)`?(\(\))? ", str(error)) if isinstance(error, TypeError) else None
    if called is None:
        return "Route files must import without side effects that can fail."
    unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    given = _find_given(root, place, line, called[1])
    return describe_call(called[1], unknown[1] if unknown else None, given)


def _find_given(root: Path, file: str, line: int | None, function: str) -> str | None:
    """Return the name that a call in a line gives as its only argument, without saying what it is."""
    for node in ast.walk(ast.parse((root / file).read_bytes())):
        if isinstance(node, ast.Call) and node.lineno == line and ast.unparse(node.func).endswith(function):
            names = [argument.id for argument in node.args if isinstance(argument, ast.Name)]
            return names[0] if len(names) == 1 else None
    return None


def _hint_at(root: Path, place: str, line: int | None, error: ImportError) -> str:
    package = (error.name or "").partition(".")[0]
    if package in _WRONG_PACKAGES:
        return "Its package is called `nitro_py`: write `from nitro_py import …`."
    wrong = re.match(r"cannot import name '(\w+)' from 'nitro_py'", str(error))
    near = get_close_matches(wrong[1], nitro_py.__all__, n=1, cutoff=CLOSE) if wrong else []
    if near:
        return f"Did you mean `{near[0]}`?"
    beside = _find_beside(root, place, line)
    if beside is not None:
        return f"Did you mean `{beside}`?"
    # What was imported in part is there, and installing it again would not help.
    if not package or package in sys.modules:
        return "Correct the import."
    for dots, folder in enumerate((root / place).parents, start=1):
        if folder == root:
            break
        if (folder / f"{package}.py").is_file() or (folder / package).is_dir():
            return f"It lies beside the route files: write `from {'.' * dots}{package} import …`."
    return f"Install {name_missing(_imported_at(root, place, line, package))}, or correct the import."


def _find_beside(root: Path, file: str, line: int | None) -> str | None:
    """Find what a relative import in a line means that names no file: a file or folder with a name like it."""
    path = root / file
    for node in ast.walk(ast.parse(path.read_bytes())):
        if not isinstance(node, ast.ImportFrom) or node.lineno != line or not node.level:
            continue
        first, *rest = (node.module or node.names[0].name).split(".")
        folder = path.parents[node.level - 1]
        names = {item.stem for item in folder.iterdir() if item.suffix == ".py" or item.is_dir()} - {path.stem}
        near = get_close_matches(first, sorted(names), n=1, cutoff=CLOSE)
        if near and first not in names:
            dots = "." * node.level
            return f"{dots}{'.'.join([near[0], *rest])}" if node.module else f"from {dots} import {near[0]}"
    return None


def _imported_at(root: Path, file: str, line: int | None, package: str) -> str:
    """Return the dotted name by which a line imports a package: what shares its top level is told apart by it."""
    try:
        tree = ast.parse((root / file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return package
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import) and node.lineno == line:
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.lineno == line:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.partition(".")[0] == package:
                return name
    return package


def _line_of(root: Path, file: str, name: str) -> int:
    """Find the line that binds a name at the top level of a file."""
    for node in ast.parse((root / file).read_bytes()).body:
        bound: set[str] = set()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound = {node.name}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound = {alias.asname or alias.name for alias in node.names}
        else:
            bound = {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}
        if name in bound:
            return node.lineno
    return 1


def _last_place(root: Path, file: str, error: BaseException) -> tuple[str, int | None]:
    """Find the innermost line of the project that an exception passed through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        place = _relative(root, frame.filename)
        if place is not None:
            return place, frame.lineno
    return file, None


def _relative(root: Path, filename: str | None) -> str | None:
    if filename is None or "site-packages" in filename:
        return None
    path = Path(filename)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def _problem(message: str, file: str, line: int | None, hint: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "file": file, "line": line, "hint": hint or None}}


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    sys.stderr.flush()
    # The usual end waits for every thread that the handlers have started.
    os._exit(0)
