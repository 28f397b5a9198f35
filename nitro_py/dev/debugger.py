"""Debuggers in the process that runs the app."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType

from nitro_py.server.watchdog import DEBUGGERS


def find_paused_thread() -> threading.Thread | None:
    """Return a thread of this process whose code a debugger has stopped; `None` if there is none.

    It is found by the debugger's functions on its stack: they stand there only as long as a person is asked.
    """
    frames = sys._current_frames()
    for thread in threading.enumerate():
        # pydevd, which is also the debugger in debugpy, has threads of its own.
        if thread.ident in frames and not getattr(thread, "is_pydev_daemon_thread", False):
            for frame in _walk(frames[thread.ident]):
                if frame.f_globals.get("__name__", "").partition(".")[0] in DEBUGGERS:
                    return thread
    return None


def _walk(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
