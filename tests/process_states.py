"""What Linux tells about processes, whatever becomes of them meanwhile."""

from __future__ import annotations

from pathlib import Path


def read_state(pid: int) -> str | None:
    """Return the letter for the state of a process, such as `T` for one that is stopped; `None` if it is gone."""
    fields = _read_fields(pid)
    return fields[0] if fields else None


def find_parent(pid: int) -> int | None:
    """Return the parent of a process; `None` if the process is gone."""
    fields = _read_fields(pid)
    return int(fields[1]) if fields else None


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that waits for its parent's look has ended."""
    return read_state(pid) not in (None, "Z", "X")


def list_children(pid: int) -> list[int]:
    """List the processes that the main thread of a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def read_command(pid: int) -> list[str]:
    """Return the command line of a process; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _read_fields(pid: int) -> list[str]:
    """Return what stands behind the name of a process, which may hold anything; nothing if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()
