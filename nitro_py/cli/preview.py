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

from nitro_py.build.config.env_files import EnvFiles, read_env_files
from nitro_py.cli.failed_build import warn_of_failure
from nitro_py.cli.output import print_warning
from nitro_py.cli.project import OutputOption, PresetOption, check_preset, load_project, read_bundle
from nitro_py.dev.process import list_ending_signals
from nitro_py.dev.run_file import RunningServer, remove_run_file, write_run_file
from nitro_py.errors import UsageError
from nitro_py.runtime.app import LOCAL_HOST
from nitro_py.runtime.asgi.internal_routes import ENV_FILE_NAMES, PUBLISH_TOKEN

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 3000
# What every preset's preview command prints once it listens, followed by the URL.
# As a line of text, or in a line of JSON.
ANNOUNCEMENT = re.compile(r'(?:{.*"message": ")?Listening on (http://[^\s"]+)')


def preview(
    context: typer.Context,
    preset: PresetOption = None,
    host: Annotated[
        str | None,
        typer.Option("--host", envvar="HOST", show_default=DEFAULT_HOST, help="Address to listen on."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", envvar="PORT", show_default=str(DEFAULT_PORT), help="Port; 0 takes a free one."),
    ] = None,
    output_dir: OutputOption = None,
) -> None:
    """Run the built bundle; further options go to the program that runs it."""
    loaded = load_project(output_dir=output_dir)
    built = read_bundle(loaded)
    check_preset(loaded, built, preset)
    warn_of_failure(loaded, built)
    env_files = read_env_files(loaded.root, os.environ)
    for warning in env_files.warnings:
        print_warning(warning)
    host = host or env_files.variables.get("HOST") or DEFAULT_HOST
    place = ["--host", host, "--port", str(_read_port(env_files) if port is None else port)]
    command = [*resolve_command(built.preview), *place, *context.args]
    raise typer.Exit(run_preview(command, loaded.root, env_files, host, loaded.config.output_dir))


def _read_port(env_files: EnvFiles) -> int:
    text = env_files.variables.get("PORT") or str(DEFAULT_PORT)
    if text.isascii() and text.isdecimal():
        return int(text)
    place = env_files.places["PORT"]
    hint = f"Set `PORT={DEFAULT_PORT}`, for example, or give `--port`."
    raise UsageError(
        f"`PORT` is no port: expected a number, got `{text}`.", file=place.file, line=place.line, hint=hint
    )


def resolve_command(text: str) -> list[str]:
    """Split a command of `nitro.json`; its first word `python` stands for the interpreter in use."""
    words = shlex.split(text)
    return [sys.executable, *words[1:]] if words[0] == "python" else words


def run_preview(command: list[str], root: Path, env_files: EnvFiles, host: str, bundle: str) -> int:
    """Run a bundle until it ends, and write its address into a file that other commands read.

    Args:
        command: The command.
        root: The project's folder.
        env_files: What the project's `.env` files set.
        host: The address that it listens on.
        bundle: The folder of the bundle, relative to the project.

    Returns:
        The exit status: the bundle's own, 0 after a signal that was handed on, 128 plus the signal's number
        after another one.

    Raises:
        UsageError: The command cannot be started.
    """
    token = secrets.token_urlsafe(32)
    # Its output is read for the address; unbuffered, handlers' prints are seen when they happen.
    environ = {**env_files.variables, **os.environ, PUBLISH_TOKEN: token, "PYTHONUNBUFFERED": "1"}
    environ[LOCAL_HOST] = host
    environ[ENV_FILE_NAMES] = " ".join(sorted(env_files.places))
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
                # Before it is told: what reads the address may publish at once.
                if announced := ANNOUNCEMENT.match(line):
                    write_run_file(root, RunningServer(announced[1], token, os.getpid(), bundle))
                print(line, end="", flush=True)
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
