"""A real terminal: xterm on a display without a screen, typed into and read through tmux."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

COLUMNS, ROWS = 110, 32
# What tmux is told before it starts: all colours, and no bar that is none of the program's.
SETTINGS = (
    "set -g status off",
    "set -g default-terminal tmux-256color",
    "set -ga terminal-overrides ,xterm*:Tc",
    "set -g history-limit 5000",
)
LOOKS = (
    *("-geometry", f"{COLUMNS}x{ROWS}+0+0", "-b", "8", "-bw", "0"),
    *("-fa", "DejaVu Sans Mono", "-fs", "10", "-bg", "#1b1b1f", "-fg", "#dcdce0"),
)
# How often the screen is read while something is awaited, in seconds.
LOOK = 0.01


@dataclass(frozen=True, slots=True)
class Terminal:
    """A window with a shell in it.

    Args:
        display: The X display of the window, such as `:7`.
        socket: Where the tmux server of this window listens.
        pictures: Where screenshots go.
    """

    display: str
    socket: Path
    pictures: Path

    def type(self, line: str) -> None:
        """Type a line, and press the Enter key."""
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")

    def press(self, key: str) -> None:
        """Press a key by the name that tmux has for it, such as `C-c`."""
        self._tmux("send-keys", key)

    def clear(self) -> None:
        """Empty the screen and what was scrolled away; the program in it does not notice."""
        self._tmux("send-keys", "-R")
        self._tmux("clear-history")

    def read(self) -> str:
        """Return the text of the window, with what was scrolled away."""
        # -J joins the lines that the window wrapped.
        return self._tmux("capture-pane", "-p", "-J", "-S", "-")

    def wait_for(self, text: str, patience: float = 60.0) -> str:
        """Wait until the window shows a text, and return all that it shows.

        Args:
            text: What to wait for.
            patience: The most seconds to wait.

        Raises:
            TimeoutError: The text has not come; the message has what is shown.
        """
        deadline = time.monotonic() + patience
        while text not in (shown := self.read()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"The terminal does not show {text!r} after {patience:g} s:\n{shown}")
            time.sleep(LOOK)
        return shown

    def take_picture(self, name: str) -> Path:
        """Take a screenshot of the window, and return its file."""
        # xterm draws a moment after tmux has the text.
        time.sleep(0.3)
        file = self.pictures / f"{name}.png"
        subprocess.run(
            ["scrot", "--overwrite", file], env=os.environ | {"DISPLAY": self.display}, check=True, timeout=20
        )
        return file

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", str(self.socket), *arguments]
        ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20)
        return ran.stdout


@contextmanager
def open_terminal(folder: Path, pictures: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Open a window with a shell in a folder.

    Args:
        folder: Where the shell starts.
        pictures: Where screenshots go.
        environment: The shell's environment.

    Yields:
        The terminal. It ends with the block, with all that runs in it.
    """
    settings = folder / ".tmux.conf"
    socket = folder / ".tmux.socket"
    settings.write_text("\n".join(SETTINGS) + "\n", encoding="utf-8")
    with _open_display() as display:
        shell = ["tmux", "-S", str(socket), "-f", str(settings), "new-session", "-c", str(folder)]
        # The prompt is short, so that commands stay on a line.
        shell += ["env", "PS1=$ ", "sh", "-i"]
        window = subprocess.Popen(
            ["xterm", *LOOKS, "-e", shlex.join(shell)],
            env={**environment, "DISPLAY": display, "LANG": "C.UTF-8"},
        )
        terminal = Terminal(display, socket, pictures)
        try:
            _wait_for_shell(terminal)
            yield terminal
        finally:
            subprocess.run(["tmux", "-S", socket, "kill-server"], check=False, capture_output=True, timeout=20)
            window.terminate()
            window.wait(20)


def _wait_for_shell(terminal: Terminal) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(subprocess.CalledProcessError):
            if "$" in terminal.read():
                return
        time.sleep(0.05)
    raise TimeoutError("The shell of the terminal has not started.")


@contextmanager
def _open_display() -> Iterator[str]:
    """Start an X server without a screen, and yield its name."""
    reading, writing = os.pipe()
    size = f"{COLUMNS * 8 + 24}x{ROWS * 17 + 24}x24"
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as numbers:
            yield f":{numbers.readline().strip()}"
    finally:
        server.terminate()
        server.wait(20)
