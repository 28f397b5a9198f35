"""Learning what handler files define, by importing them in a child process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nitro_py.build.bundle.tree import read_file
from nitro_py.build.scan import Scan
from nitro_py.errors import BuildError
from nitro_py.runtime.manifest import Route

# How long importing all handlers may take, in seconds.
LOAD_TIMEOUT = 60


def load_routes(root: Path, scan: Scan) -> tuple[Route, ...]:
    """Import every handler file in a child process and describe its route.

    Nothing that a handler does on import can touch the build, and no stale module answers a second build.

    Args:
        root: The project's folder.
        scan: The files that were found.

    Returns:
        The routes, sorted by path and file.

    Raises:
        BuildError: A file cannot be read or imported, or does not define exactly one handler.
    """
    files = [route.file for route in scan.routes]
    findings = _ask_child(root, {"routes": files, "middleware": scan.middleware, "plugins": scan.plugins})
    raise_all([BuildError(**found["error"]) for found in findings.values() if "error" in found])
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


def raise_all(problems: Sequence[BuildError]) -> None:
    """Raise the one problem as it is, several as one error that lists them."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        listed = "\n".join(str(problem) for problem in problems)
        raise BuildError(f"{len(problems)} problems were found.\n{listed}")


def _ask_child(root: Path, request: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        answer, begun = Path(folder) / "findings.json", Path(folder) / "begun.txt"
        try:
            done = subprocess.run(
                [sys.executable, "-m", "nitro_py.build.inspect.child", str(answer), str(begun)],
                input=json.dumps({"root": str(root), **request}),
                cwd=root,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=LOAD_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BuildError(
                f"Importing the handlers took longer than {LOAD_TIMEOUT} s.",
                file=_read_last(begun),
                hint="Move work from the top level of a route file into a plugin.",
            ) from None
        if not answer.exists():
            tail = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise BuildError(
                f"Importing the handlers ended with status {done.returncode}.",
                file=_read_last(begun),
                hint=tail or "Route files must import without side effects, such as the end of the process.",
            )
        findings: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return findings


def _read_last(begun: Path) -> str | None:
    """Return the file that was being imported when the process came to its end."""
    lines = begun.read_text(encoding="ascii").splitlines() if begun.exists() else []
    return str(json.loads(lines[-1])) if lines else None
