"""Building projects and running their bundles, as a user would."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from nitro_py.build.config.load import load_config
from nitro_py.build.pipeline import Plan, choose_preset, plan_build, write_plan
from tests.checkout import ROOT

# How long a server may take to start or to stop, in seconds.
PATIENCE = 60.0
ANNOUNCEMENT = "Listening on "


@dataclass(frozen=True, slots=True)
class Server:
    """A bundle that runs in a process of its own.

    Args:
        url: Where it listens.
        process: The process.
        log: The file that takes all it prints.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def socket_url(self) -> str:
        """The URL that sockets start with."""
        return self.url.replace("http://", "ws://", 1)

    def read_log(self) -> str:
        """Return all that the server has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Ask the server to stop, and wait until it has; a server that needs force, or fails, is an error."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        if status != 0:
            raise AssertionError(f"The server ended with status {status}; it printed:\n{self.read_log()}")


def write_files(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder, each text without its common indentation, and return the folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return root


def copy_demo(folder: Path) -> Path:
    """Copy the repository's own handlers and configuration to a folder, and return the folder."""
    shutil.copytree(ROOT / "handlers", folder / "handlers", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def plan_project(root: Path, *, vendored: bool = False, **overrides: object) -> Plan:
    """Plan the build of a project, with settings as the command line would give them."""
    loaded = load_config(root, mode="production", overrides=overrides, environ={})
    return plan_build(loaded, choose_preset(loaded, {}), vendored=vendored)


def build_project(root: Path, *, vendored: bool = False) -> Path:
    """Build a project and return its output folder."""
    plan = plan_project(root, vendored=vendored)
    write_plan(plan)
    return plan.output


@contextmanager
def run_bundle(
    output: Path,
    *arguments: str,
    python: Sequence[str | Path] = (sys.executable,),
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Server]:
    """Run `python OUTPUT/server` until the end of the block.

    Args:
        output: The folder that a build wrote.
        arguments: What follows on the command line; by default `--port 0`.
        python: The interpreter, with its own flags.
        environ: Variables beside those of the tests.
        cwd: The working directory; by default a folder beside the output.
    """
    command = [*python, output / "server", *(arguments or ("--port", "0"))]
    with run_server(command, log=output.with_name(f"{output.name}.log"), environ=environ, cwd=cwd) as server:
        yield server


def run_refused(
    output: Path,
    *arguments: str,
    python: Sequence[str | Path] = (sys.executable,),
    environ: Mapping[str, str] | None = None,
) -> str:
    """Run a bundle that refuses to start as it is set up, checks that it ends so, and return what it says.

    Args:
        output: The folder that a build wrote.
        arguments: What follows on the command line.
        python: The interpreter, with its own flags.
        environ: Variables beside those of the tests.
    """
    done = subprocess.run(
        [*python, output / "server", "--port", "0", *arguments],
        env=clean_environment() | dict(environ or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@contextmanager
def run_server(
    command: Sequence[str | Path],
    *,
    log: Path,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    announcement: str = ANNOUNCEMENT,
) -> Iterator[Server]:
    """Run a server until the end of the block, from when it has announced its URL.

    Args:
        command: The command line.
        log: The file that takes what it prints.
        environ: Variables beside those of the tests.
        cwd: The working directory; by default the folder of the log.
        announcement: What stands before the URL in the line that announces it.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd or log.parent,
            env=clean_environment() | {"PYTHONUNBUFFERED": "1"} | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Server(_wait_for_url(process, log, announcement), process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def clean_environment() -> dict[str, str]:
    """Return this process's variables without those that change what a build or a bundle does."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOST", "PORT", "PYTHONPATH") and not name.startswith("NITRO_")
    }


def _wait_for_url(process: subprocess.Popen[bytes], log: Path, announcement: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            _, found, rest = line.partition(announcement)
            # Half a line may stand there already.
            if found and line.endswith("\n") and not ended:
                return re.split(r'[\s"]', rest)[0]
        if ended:
            break
        time.sleep(0.02)
    text = log.read_text(encoding="utf-8", errors="replace")
    state = "runs" if process.returncode is None else f"ended with status {process.returncode}"
    raise AssertionError(f"The server {state} and has announced no URL; it printed:\n{text}")
