"""A thread that notices that the event loop is blocked, and tells whose code blocks it."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from nitro_py.runtime.hooks.session import PeerSession
from nitro_py.runtime.routing.router import Match

logger = logging.getLogger("nitro_py.server")

# How long nothing is logged after a warning, in seconds.
SILENCE: Final = 60.0
# How often the loop is asked at most where no limit is shorter, in seconds.
MAX_PAUSE: Final = 5.0
# Our own package, whose functions are not the app's code.
OURS: Final = str(Path(__file__).resolve().parents[1])
DEBUGGERS: Final = frozenset({"bdb", "debugpy", "pdb", "pydevd"})


class LoopWatchdog:
    """The watch over an event loop, from a thread of its own; the loop does nothing for it but answer.

    Args:
        loop: The event loop, of the thread that makes the watchdog.
        limit: The longest time that the loop may take to answer before a warning, in seconds; 0 for any time.
        root: The folder of the app's code.
        heartbeat: Called in the thread each time that the loop has answered, and while a debugger holds it.
        interval: The longest pause between two heartbeats, in seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit: float,
        root: Path,
        heartbeat: Callable[[], None] | None = None,
        interval: float = MAX_PAUSE,
    ) -> None:
        self._loop = loop
        self._limit = limit
        self._root = str(root.resolve())
        self._heartbeat = heartbeat
        self._pause = min(limit / 2 or MAX_PAUSE, interval, MAX_PAUSE)
        self._thread = threading.get_ident()
        self._answered = threading.Event()
        self._stopped = threading.Event()
        self._warned = -SILENCE

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="nitropy-watchdog", daemon=True).start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(self._pause):
            self._answered.clear()
            try:
                self._loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:
                return  # The loop is closed.
            self._wait_for_answer()

    def _wait_for_answer(self) -> None:
        """Wait until the loop answers; warn once if that takes longer than the limit."""
        began = time.monotonic()
        step = self._limit or MAX_PAUSE
        while not self._answered.wait(step):
            if self._stopped.is_set():
                return
            now = time.monotonic()
            # This thread stood still as well: the process was stopped, or the machine slept.
            stood_still = now - began > 2 * step + 1
            if is_debugged(self._frames()):
                if self._heartbeat is not None:
                    self._heartbeat()
            elif self._limit and not stood_still and now - self._warned >= SILENCE:
                self._warn(now)
            began = now
        if self._heartbeat is not None:
            self._heartbeat()

    def _warn(self, now: float) -> None:
        frames = list(self._frames())
        route = find_route(frames)
        place = find_place(frames, self._root)
        if route is None and place is None:
            # No code of the app runs: the machine is busy.
            return
        self._warned = now
        logger.warning(
            "The event loop was blocked for more than %g s by %s%s: all clients wait meanwhile. Await what takes "
            "long, or write the handler or hook as a plain `def`, which runs in a thread.",
            self._limit,
            f"the route `{route}`" if route else "code of the app",
            f", at {place}" if place else "",
        )

    def _frames(self) -> Iterator[FrameType]:
        frame = sys._current_frames().get(self._thread)
        while frame is not None:
            yield frame
            frame = frame.f_back


def is_debugged(frames: Iterator[FrameType]) -> bool:
    """Return whether a debugger holds a thread."""
    return any(
        frame.f_trace is not None or frame.f_globals.get("__name__", "").partition(".")[0] in DEBUGGERS
        for frame in frames
    )


def find_route(frames: list[FrameType]) -> str | None:
    """Return the route that the innermost of a thread's frames works for.

    What the log context says cannot be read from another thread.
    """
    for frame in frames:
        if not frame.f_code.co_filename.startswith(OURS):
            continue
        match frame.f_locals:
            case {"self": PeerSession(log_context=(_, str(route)))}:
                return route
            case {"match": Match(route=found)}:
                return found.path
    return None


def find_place(frames: list[FrameType], root: str) -> str | None:
    """Return the file, line and function of the innermost of a thread's frames that is the app's own code."""
    for frame in frames:
        file = frame.f_code.co_filename
        if file.startswith(root) and not file.startswith(OURS) and "/vendor/" not in file[len(root) :]:
            name = file[len(root) :].lstrip("/")
            return f"{name}:{frame.f_lineno}, in `{frame.f_code.co_name}`"
    return None
