"""Several worker processes on one port: the parent, which starts and watches them, and each worker's end."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from nitro_py.server.workers.shared_memory import (
    ConnectionCounts,
    SharedSnapshots,
    clear_connection_count,
    make_connection_counts,
)

if TYPE_CHECKING:
    from nitro_py.runtime.asgi.application import Application

logger = logging.getLogger("nitro_py.workers")

# A worker that dies within this time has died at once, in seconds.
STEADY: Final = 5.0
# The first and the longest pause before a worker that died at once is started again, in seconds.
MIN_RETRY_PAUSE: Final = 0.5
MAX_PAUSE: Final = 30.0
# How much longer than their grace period workers may take to end, in seconds.
LAST_STEPS: Final = 2.0
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# What a worker writes to its parent once it serves.
READY: Final = b"ready\n"
# What a worker says as long as its event loop answers.
ALIVE: Final = b"."
# How often the workers are looked at where they may be stuck, in seconds.
LOOK: Final = 5.0


@dataclass
class WorkerProcess:
    """A worker process, or the place of one that has ended.

    Args:
        process: The process.
        channel: Our end of the socket by which the worker reports that it serves, and sees that we are gone.
        started: When it was started, on the monotonic clock.
        ready: Whether it serves.
        deaths: How often in a row a worker in this place has died at once.
        due: When the next one is started in its place, on the monotonic clock; `None` while it runs.
    """

    process: subprocess.Popen[bytes]
    channel: socket.socket
    started: float
    ready: bool = False
    deaths: int = 0
    due: float | None = None
    # When its event loop last answered; `None` before it has begun to tell.
    heard: float | None = None


class Supervisor:
    """The parent of some workers on one listening socket; it never serves itself.

    Args:
        command: The command line of a worker, to which the arguments of `serve_worker` are added.
        listener: The socket, bound and listening; every worker accepts from it.
        count: The number of workers.
        grace: How long a worker may take to stop, in seconds.
        on_ready: Called once all of them serve.
        snapshots: The descriptor of the memory for snapshots of their metrics, if they are measured.
        stuck_timeout: How long a worker's event loop may not answer before another takes its place, in seconds; 0
            for any time.
    """

    def __init__(
        self,
        command: Sequence[str],
        listener: socket.socket,
        *,
        count: int,
        grace: float,
        on_ready: Callable[[], None],
        snapshots: int | None = None,
        stuck_timeout: float = 0.0,
    ) -> None:
        self._command = command
        self._listener = listener
        self._count = count
        self._grace = grace
        self._workers: list[WorkerProcess] = []
        self._selector = selectors.DefaultSelector()
        self._on_ready = on_ready
        self._counts = make_connection_counts(count)
        self._memory = (self._counts,) if snapshots is None else (self._counts, snapshots)
        self._announced = False
        self._kill_at: float | None = None
        self._status = 0
        self._stuck_timeout = stuck_timeout
        self._look = min(stuck_timeout / 4, LOOK)
        self._looked = time.monotonic()

    def run(self) -> int:
        """Run the workers until a signal stops them.

        Returns:
            The exit status: 0 after a stop in peace, otherwise that of the first worker that failed.
        """
        with ExitStack() as stack:
            signals = stack.enter_context(self._signals())
            self._selector.register(signals, selectors.EVENT_READ)
            stack.callback(self._selector.close)
            for place in range(self._count):
                self._workers.append(self._start(place))
            while any(worker.due is None for worker in self._workers) or not self._stopping:
                self._wait(signals)
                self._check_workers()
        return self._status

    @property
    def _stopping(self) -> bool:
        return self._kill_at is not None

    def _start(self, place: int, deaths: int = 0) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        descriptors = (self._listener.fileno(), theirs.fileno())
        with theirs:
            process = subprocess.Popen(
                [*self._command, *map(str, (*descriptors, place, *self._memory))],
                pass_fds=(*descriptors, *self._memory),
                # In a group of its own: Ctrl+C reaches it only through us.
                process_group=0,
            )
        self._selector.register(ours, selectors.EVENT_READ)
        return WorkerProcess(process, ours, time.monotonic(), deaths=deaths)

    def _wait(self, signals: socket.socket) -> None:
        """Wait for a signal, a worker's message, or the next thing to do."""
        moments = [worker.due for worker in self._workers if worker.due is not None and not self._stopping]
        if self._kill_at is not None:
            moments.append(self._kill_at)
        if self._stuck_timeout and not self._stopping:
            moments.append(time.monotonic() + self._look)
        timeout = max(0.0, min(moments) - time.monotonic()) if moments else None
        for key, _ in self._selector.select(timeout):
            if key.fileobj is signals:
                for number in signals.recv(64):
                    if number in STOP_SIGNALS:
                        self._stop(number)
            else:
                self._read_channel(key.fd)

    def _read_channel(self, descriptor: int) -> None:
        worker = next(worker for worker in self._workers if worker.channel.fileno() == descriptor)
        said = worker.channel.recv(64)
        if ALIVE in said:
            worker.heard = time.monotonic()
        if said and READY not in said:
            return
        if not said:
            # It has closed its end; `poll` finds out that it has ended.
            self._selector.unregister(worker.channel)
            return
        worker.ready = True
        if not self._announced and all(worker.ready for worker in self._workers):
            self._announced = True
            self._on_ready()

    def _check_workers(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            for worker in self._alive():
                logger.error("Worker %d has not stopped within its grace period.", worker.process.pid)
                worker.process.kill()
                worker.process.wait()
        self._end_stuck(now)
        for place, worker in enumerate(self._workers):
            if worker.due is None and worker.process.poll() is not None:
                clear_connection_count(self._counts, place)
                self._note_end(worker)
            elif worker.due is not None and now >= worker.due and not self._stopping:
                self._workers[place] = self._start(place, worker.deaths)
        reap_orphans({worker.process.pid for worker in self._workers if worker.due is None})

    def _end_stuck(self, now: float) -> None:
        """Kill the workers whose event loop does not answer."""
        slept = now - self._looked > 2 * self._look + 1
        self._looked = now
        if not self._stuck_timeout or self._stopping:
            return
        for worker in self._alive():
            if worker.heard is None:
                continue
            if slept or is_traced(worker.process.pid):
                # This process stood still, too, and has not read what they said; or somebody looks into one.
                worker.heard = now
            elif now - worker.heard > self._stuck_timeout:
                logger.error(
                    "Worker %d has not answered for %g s (`server.stuck_timeout`), and is killed.",
                    worker.process.pid,
                    self._stuck_timeout,
                )
                worker.process.kill()
                worker.process.wait()

    def _note_end(self, worker: WorkerProcess) -> None:
        """Close what belongs to a worker that has ended, and decide when the next one takes its place."""
        if worker.channel.fileno() in self._selector.get_map():
            self._selector.unregister(worker.channel)
        worker.channel.close()
        worker.due = now = time.monotonic()
        status = worker.process.returncode
        if self._stopping:
            if not worker.ready and status == -signal.SIGTERM:
                # Our signal came before the worker could take it, and there was nothing to stop.
                return
            # One that a signal has ended gets the status that shells give it.
            self._status = self._status or (status if status >= 0 else 128 - status)
            return
        if not self._announced:
            logger.error("Worker %d ended before it served, with status %d.", worker.process.pid, status)
            self._status = status if status > 0 else 1
            self._stop(signal.SIGTERM)
            return
        worker.deaths = worker.deaths + 1 if now - worker.started < STEADY else 0
        pause = min(MAX_PAUSE, MIN_RETRY_PAUSE * 2 ** (worker.deaths - 1)) if worker.deaths else 0.0
        worker.due = now + pause
        logger.error(
            "Worker %d ended with status %d; another takes its place%s.",
            worker.process.pid,
            status,
            f" in {pause:g} s" if pause else "",
        )

    def _stop(self, number: int) -> None:
        """Pass a signal to the workers, which know what a first and a second one mean."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace + LAST_STEPS
            # Clients that come now must be refused once the workers take no more.
            self._listener.close()
        for worker in self._alive():
            # One that is still being started would end by Ctrl+C with a traceback.
            worker.process.send_signal(number if worker.ready else signal.SIGTERM)

    def _alive(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.due is None and worker.process.poll() is None]

    @contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Open a socket that receives the number of each signal."""
        receiver, sender = socket.socketpair()
        sender.setblocking(False)
        numbers = (*STOP_SIGNALS, signal.SIGCHLD)
        before = [signal.signal(number, ignore) for number in numbers]
        signal.set_wakeup_fd(sender.fileno())
        try:
            yield receiver
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
            receiver.close()
            sender.close()


def serve_worker(
    application: Application, listener: int, channel: int, place: int, counts: int, snapshots: int | None = None
) -> None:
    """Serve an app in a worker process until a signal stops it, or its parent is gone.

    Args:
        application: The app.
        listener: The descriptor of the socket that it shares with the other workers.
        channel: The descriptor of the socket to its parent.
        place: The worker's number, counted from 0; one that takes the place of another has the same.
        counts: The descriptor of the memory for connection counts.
        snapshots: The descriptor of the memory for snapshots of metrics, if they are measured.
    """
    # The parent never loads the server.
    from nitro_py.server.uvicorn_server import serve

    parent = socket.socket(fileno=channel)
    threading.Thread(target=stop_with_parent, args=(parent,), daemon=True).start()
    app = application.app

    def begin() -> None:
        parent.sendall(READY)
        if snapshots is not None and app.meter is not None:
            app.meter.workers = shared = SharedSnapshots(snapshots, place)
            shared.keep(partial(app.take_snapshot, app.meter))

    def tell_alive() -> None:
        with suppress(OSError):
            parent.sendall(ALIVE)

    serve(
        application,
        socket.socket(fileno=listener),
        on_ready=begin,
        counts=ConnectionCounts(counts, place),
        heartbeat=tell_alive if app.settings.server.stuck_timeout else None,
    )


def stop_with_parent(parent: socket.socket) -> None:
    """Wait until the parent is gone, however it ended, then stop this process in peace."""
    # The parent writes nothing: the first thing to read is the end.
    parent.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


def is_traced(pid: int) -> bool:
    """Return whether a debugger has attached to a process; false where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False
    return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in status.splitlines())


def ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the signal's number is read from the socket."""


def reap_orphans(own: Collection[int]) -> None:
    """Reap ended processes that this one has not started, such as the children of a worker that has died.

    The first process of a PID namespace inherits every orphan in it, and a subreaper (see `prctl(2)`) those below
    it. An ended process stays in the process table until its parent waits for it.

    Args:
        own: The processes whose status is read elsewhere.
    """
    if sys.platform != "linux":
        return
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in own:
                # Its signal is on its way, and the next call finds the others.
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def repeat_command() -> list[str]:
    """Return the command line by which this process was started, the interpreter's own flags included."""
    return [sys.executable, *sys.orig_argv[1:]]
