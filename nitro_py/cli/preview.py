"""`nitropy preview`."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from nitro_py.cli.failed_build import warn_of_failure
from nitro_py.cli.project import OutputOption, PresetOption, check_preset, load_project, read_bundle
from nitro_py.dev.process import list_ending_signals
from nitro_py.dev.run_file import RunningServer, remove_run_file, write_run_file
from nitro_py.errors import UsageError
from nitro_py.runtime.asgi.internal_routes import PUBLISH_TOKEN

# What every preset's preview command prints once it listens, followed by the URL.
# As a line of text, or in a line of JSON.
ANNOUNCEMENT = re.compile(r'(?:{.*"message": ")?Listening on (http://[^\s"]+)')


def preview(
    context: typer.Context,
    preset: PresetOption = None,
    host: Annotated[str, typer.Option("--host", envvar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", envvar="PORT", help="Port; 0 takes a free one.")] = 3000,
    output_dir: OutputOption = None,
) -> None:
    """Run the built bundle; further options go to the program that runs it."""
    loaded = load_project(output_dir=output_dir)
    built = read_bundle(loaded)
    check_preset(loaded, built, preset)
    warn_of_failure(loaded, built)
    command = [*resolve_command(built.preview), "--host", host, "--port", str(port), *context.args]
    raise typer.Exit(run_preview(command, loaded.root))


def resolve_command(text: str) -> list[str]:
    """Split a command of `nitro.json`; its first word `python` stands for the interpreter in use."""
    words = shlex.split(text)
    return [sys.executable, *words[1:]] if words[0] == "python" else words


def run_preview(command: list[str], root: Path) -> int:
    """Run a bundle until it ends, and write its address into a file that `nitropy publish` reads.

    Args:
        command: The command.
        root: The project's folder.

    Returns:
        The exit status: the bundle's own, 0 after a signal that was handed on, 128 plus the signal's number
        after another one.

    Raises:
        UsageError: The command cannot be started.
    """
    token = secrets.token_urlsafe(32)
    # Its output is read for the address; unbuffered, handlers' prints are seen when they happen.
    environ = {**os.environ, PUBLISH_TOKEN: token, "PYTHONUNBUFFERED": "1"}
    try:
        # In a session of its own, so that Ctrl+C reaches it once, by us, and not a second time by the terminal.
        process = subprocess.Popen(
            command, cwd=root, env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
    except OSError as error:
        raise UsageError(f"`{command[0]}` cannot be started: {error.strerror}.") from error
    with process, hand_on_signals(process) as received:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                if announced := ANNOUNCEMENT.match(line):
                    write_run_file(root, RunningServer(announced[1], token, os.getpid()))
            status = process.wait()
        finally:
            remove_run_file(root)
            # Whatever has gone wrong here, such as a closed output, no server is left behind.
            if process.poll() is None:
                process.terminate()
    if status < 0:
        return 0 if -status in received else 128 - status
    return status


@contextmanager
def hand_on_signals(process: subprocess.Popen[str]) -> Iterator[set[int]]:
    """Hand the signals that end a program on to a child.

    Args:
        process: The child.

    Returns:
        The signals that were handed on so far.
    """
    received: set[int] = set()

    def hand_on(number: int, frame: FrameType | None) -> None:
        # Servers know how to end in peace at the first two only.
        handed = signal.SIGTERM if number == signal.SIGHUP else number
        received.add(handed)
        process.send_signal(handed)

    numbers = list_ending_signals()
    before = [signal.signal(number, hand_on) for number in numbers]
    try:
        yield received
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
