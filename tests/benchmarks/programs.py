"""Child processes that answer questions: one line of JSON in, one out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.rows import Bench
from tests.bundles import clean_environment
from tests.checkout import ROOT

# How long a process may take to stop before it is killed, in seconds.
GRACE = 3.0


@dataclass(frozen=True, slots=True)
class Program:
    """A child that reads questions on its standard input, and answers on its standard output.

    Args:
        process: The child.
        name: What an error calls it.
    """

    process: subprocess.Popen[bytes]
    name: str

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, and wait for the answer.

        Raises:
            BenchmarkError: The child has ended, or its answer has the key `error`.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise BenchmarkError(f"`{self.name}` ended with status {self.process.wait()}.") from None
        return self.read()

    def read(self) -> dict[str, Any]:
        """Wait for an answer to no question, such as that the child is ready."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise BenchmarkError(f"`{self.name}` ended with status {self.process.wait()}.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BenchmarkError(f"`{self.name}`: {answer['error']}")
        return answer


@contextmanager
def open_program(
    command: Sequence[str | Path],
    *,
    core: int,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Program]:
    """Run a program until the end of the block.

    Args:
        command: The command line.
        core: Where it runs.
        environ: Variables beside those of this process.
        cwd: The working directory.
    """
    words = [str(word) for word in command]
    with pin(core):
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=clean_environment() | dict(environ or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A Ctrl+C is for the harness, which ends its children itself.
            start_new_session=True,
        )
    try:
        yield Program(process, " ".join(words))
    finally:
        stop(process)


@contextmanager
def open_load(bench: Bench, name: str) -> Iterator[Program]:
    """Run a load client, a module of `load/`, on its core until the end of the block."""
    command = [sys.executable, "-m", f"tests.benchmarks.load.{name}"]
    with open_program(command, core=bench.load_core, cwd=ROOT) as load:
        yield load


@contextmanager
def pin(core: int) -> Iterator[None]:
    """Move this process to a core until the end of the block; what it starts there stays there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session, and all that belongs to it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            # Closing sends what was left of a question that the process did not live to read.
            with suppress(BrokenPipeError):
                stream.close()
