"""Learning what handler files define, by importing them in a child process."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from nitro_py.build.bundle.tree import read_file
from nitro_py.build.interrupt import Interrupt
from nitro_py.build.scan import RouteFile, Scan
from nitro_py.errors import BuildError
from nitro_py.runtime.manifest import Route

# How long importing a file may take, in seconds.
IMPORT_TIMEOUT = 10.0
# A frame in what `faulthandler` writes.
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in ')
_ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def load_routes(
    root: Path,
    scan: Scan,
    *,
    import_timeout: float = IMPORT_TIMEOUT,
    variables: Mapping[str, str] | None = None,
    interrupt: Interrupt | None = None,
) -> tuple[Route, ...]:
    """Import every handler file in a child process and describe its route.

    Nothing that a handler does on import can touch the build, and no stale module answers a second build.

    Args:
        root: The project's folder.
        scan: The files that were found.
        import_timeout: How long importing a file may take, in seconds; 0 = any time.
        variables: Variables that the files find in their environment, beside ours.
        interrupt: Ends the import from another thread.

    Returns:
        The routes, sorted by path and file.

    Raises:
        BuildError: A file cannot be read or imported, or does not define exactly one handler.
        BuildInterruptedError: The import was interrupted.
    """
    files = [route.file for route in scan.routes]
    request = {"routes": files, "middleware": scan.middleware, "plugins": scan.plugins, "timeout": import_timeout}
    findings = _ask_child(root, request, variables or {}, interrupt or Interrupt())
    raise_all([BuildError(**found["error"]) for found in findings.values() if "error" in found])
    raise_all([problem for item in scan.routes if (problem := _check_reached(item, findings[item.file]["found"]))])
    routes = []
    for item in scan.routes:
        found = findings[item.file]["found"]
        digest = hashlib.sha256(read_file(root, item.file)).hexdigest()
        routes.append(
            Route(
                path=item.path,
                kind=found["kind"],
                methods=item.methods,
                file=item.file,
                mode=item.mode,
                hooks=tuple(found["hooks"]),
                requires=tuple(found["requires"]),
                mounted=found["mounted"],
                hash=digest,
            )
        )
    return tuple(sorted(routes, key=lambda route: (route.path, route.file)))


def _check_reached(item: RouteFile, found: dict[str, Any]) -> BuildError | None:
    """Find a handler of sockets that no handshake reaches, since a handshake is a GET."""
    if not item.methods or "GET" in item.methods or not {"websocket", "websocket.mounted"} & {*found["requires"]}:
        return None
    method = item.methods[0].lower()
    name = item.file.rpartition("/")[2]
    return BuildError(
        f"`{item.file}` serves {item.methods[0]} alone, and so no WebSocket can reach it: each begins with a GET.",
        file=item.file,
        hint=f"Rename it to `{name.replace(f'.{method}.', '.')}`; a handler of its own serves {item.methods[0]}.",
    )


def raise_all(problems: Sequence[BuildError]) -> None:
    """Raise the one problem as it is, several as one error that lists them."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        listed = "\n".join(str(problem) for problem in problems)
        raise BuildError(f"{len(problems)} problems were found.\n{listed}")


def _ask_child(
    root: Path, request: dict[str, Any], variables: Mapping[str, str], interrupt: Interrupt
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "request.json").write_text(json.dumps({"root": str(root), **request}), encoding="ascii")
        # Files, not pipes: what the handlers start may live on, and would hold a pipe open.
        with (folder / "request.json").open("rb") as asked, (folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                # Without -P modules of the project would be found before those that the child itself needs.
                [sys.executable, "-P", "-m", "nitro_py.build.inspect.child", str(folder)],
                cwd=root,
                env={**variables, **os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=asked,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A group of its own, which ends as a whole.
                start_new_session=True,
            )
            end = partial(_end_group, process.pid)
            try:
                with interrupt.ending(end):
                    status = process.wait()
            finally:
                end()
                process.wait()
        answer = folder / "findings.json"
        if answer.exists():
            findings: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
            return findings
        begun = _read_last(folder / "begun.txt")
        if stuck := _read(folder / "stuck.txt"):
            place, line = _find_stuck(root, stuck) or (begun, None)
            raise BuildError(
                f"Importing `{begun}` took longer than {request['timeout']:g} s.",
                file=place,
                line=line,
                hint="Move work from the top level of a module into a plugin, or set `build.import_timeout`.",
            )
        tail = "\n".join(_read(folder / "output.txt").strip().splitlines()[-5:])
        raise BuildError(
            f"Importing the handlers ended with status {status}.",
            file=begun,
            hint=tail or "Route files must import without side effects, such as the end of the process.",
        )


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def _find_stuck(root: Path, dump: str) -> tuple[str, int] | None:
    """Find the innermost line of the project that the main thread was at."""
    # The thread that was there first is written last.
    main = dump.rpartition("(most recent call first):")[2]
    for frame in _FRAME.finditer(main):
        path = Path(_ESCAPE.sub(lambda found: chr(int(found[0][2:], 16)), frame["file"]))
        if path.is_relative_to(root) and "site-packages" not in path.parts:
            return path.relative_to(root).as_posix(), int(frame["line"])
    return None


def _read_last(begun: Path) -> str | None:
    """Return the file that was being imported when the process came to its end."""
    lines = _read(begun).splitlines()
    return str(json.loads(lines[-1])) if lines else None
