"""What a process and all its descendants have used, as the kernel counts it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.failures import BenchmarkError


def read_cpu(pid: int) -> float:
    """Return the CPU time, user and system, of a process and its living descendants, in seconds.

    The clock of a process counts nanoseconds, where `/proc/PID/stat` counts hundredths of a second; what ended
    threads have used is in it (Linux, `clock_getcpuclockid(3)`).
    """
    return sum(time.clock_gettime((~member << 3) | 2) for member in list_tree(pid))


def read_memory(pid: int) -> int:
    """Return the proportional set size of a process and its living descendants, in bytes."""
    return sum(_read_pss(member) for member in list_tree(pid))


def list_tree(pid: int) -> list[int]:
    """List a process and its living descendants.

    Raises:
        BenchmarkError: It has ended.
    """
    try:
        return list(_walk_tree(pid))
    except (FileNotFoundError, ProcessLookupError):
        raise BenchmarkError(f"Process {pid} has ended while it was measured.") from None


def _walk_tree(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text(encoding="ascii").split():
            yield from _walk_tree(int(child))


def _read_pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise BenchmarkError(f"The kernel does not say how much memory process {pid} has.")
