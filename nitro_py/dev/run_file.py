"""The file by which other commands find a running `dev` or `preview`: its URL, its token and its bundle."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nitro_py.errors import UsageError

STATE_DIR = ".nitro"
RUN_FILE = "run.json"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server of this project that runs on this machine.

    Args:
        url: The URL that it listens on.
        token: The token of `/_nitro/publish`.
        pid: The process that wrote the file.
        bundle: The folder of the bundle that a preview runs, relative to the project; `None` for `dev`.
    """

    url: str
    token: str
    pid: int
    bundle: str | None = None


def make_state_dir(root: Path) -> Path:
    """Make the folder for files that belong to this machine only, and hide it from git.

    Args:
        root: The project's folder.

    Raises:
        UsageError: The folder cannot be written.
    """
    folder = root / STATE_DIR
    with _explain():
        folder.mkdir(exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    return folder


def write_run_file(root: Path, server: RunningServer) -> None:
    """Write the file of a running server. Only the user can read it, since its token allows publishing.

    Args:
        root: The project's folder.
        server: The server.

    Raises:
        UsageError: The file cannot be written.
    """
    folder = make_state_dir(root)
    with _explain():
        # mkstemp gives mode 0600 from the first moment on.
        handle, name = tempfile.mkstemp(prefix=f".{RUN_FILE}-", dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(server), file)
        Path(name).replace(folder / RUN_FILE)


@contextmanager
def _explain() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"`{STATE_DIR}` cannot be written, by which other commands find the server: "
            f"{error.strerror or error}.",
            file=STATE_DIR,
            hint="Make the project a folder that you may write.",
        ) from error


def read_run_file(root: Path) -> RunningServer | None:
    """Return the running server, or `None` if there is none.

    Args:
        root: The project's folder.
    """
    try:
        data: Any = json.loads((root / STATE_DIR / RUN_FILE).read_text(encoding="utf-8"))
        bundle = data.get("bundle")
        return RunningServer(
            url=str(data["url"]),
            token=str(data["token"]),
            pid=int(data["pid"]),
            bundle=None if bundle is None else str(bundle),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def remove_run_file(root: Path) -> None:
    """Remove the file, unless another process has written it.

    Args:
        root: The project's folder.
    """
    running = read_run_file(root)
    if running is not None and running.pid == os.getpid():
        with suppress(FileNotFoundError):
            (root / STATE_DIR / RUN_FILE).unlink()
