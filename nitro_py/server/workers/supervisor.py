"""The parent of several worker processes: it starts them, watches them, and never serves itself."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from nitro_py.server.workers.shared_memory import leave_shares, make_shares

logger = logging.getLogger("nitro_py.workers")

# A worker that lives shorter than this died at once, in seconds.
STEADY = 5.0
# The first and the longest pause before a worker that died at once is started again, in seconds.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
# How much longer than their grace period workers may take to end, in seconds.
LAST_STEPS = 2.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# What a worker writes to its parent once it serves.
READY = b"ready\n"


@dataclass
class Worker:
    """One worker process, or the place of one that died.

    Args:
        process: The process.
        channel: Our end of the socket by which it says that it serves, and sees that we are gone.
        started: When it was started, on the monotonic clock.
        ready: Whether it serves.
        deaths: How often in a row it has died at once.
        due: When the next one is started in its place, once it is dead.
    """

    process: subprocess.Popen[bytes]
    channel: socket.socket
    started: float
    ready: bool = False
    deaths: int = 0
    due: float | None = None


class Supervisor:
    """Runs a number of workers on one listening socket until a signal stops them.

    Args:
        command: The command line of a worker, to which the arguments of `serve_worker` are added.
        listener: The socket, bound and listening; every worker accepts from it.
        count: How many workers.
        grace: How long a worker may take to stop, in seconds.
        ready: Is called once all of them serve.
        board: The descriptor of the memory for their figures, if they are measured.
    """

    def __init__(
        self,
        command: Sequence[str],
        listener: socket.socket,
        *,
        count: int,
        grace: float,
        ready: Callable[[], None],
        board: int | None = None,
    ) -> None:
        self._command = command
        self._listener = listener
        self._count = count
        self._grace = grace
        self._workers: list[Worker] = []
        self._selector = selectors.DefaultSelector()
        self._ready = ready
        self._shares = make_shares(count)
        self._memory = (self._shares,) if board is None else (self._shares, board)
        self._announced = False
        self._kill_at: float | None = None
        self._status = 0

    def run(self) -> int:
        """Run the workers and return the exit status: 0 after a stop in peace, else a failed worker's own."""
        with ExitStack() as stack:
            signals = stack.enter_context(self._signals())
            self._selector.register(signals, selectors.EVENT_READ)
            stack.callback(self._selector.close)
            for place in range(self._count):
                self._workers.append(self._start(place))
            while any(worker.due is None for worker in self._workers) or not self._stopping:
                self._wait(signals)
                self._look_after()
        return self._status

    @property
    def _stopping(self) -> bool:
        return self._kill_at is not None

    def _start(self, place: int, deaths: int = 0) -> Worker:
        ours, theirs = socket.socketpair()
        descriptors = (self._listener.fileno(), theirs.fileno())
        with theirs:
            process = subprocess.Popen(
                [*self._command, *map(str, (*descriptors, place, *self._memory))],
                pass_fds=(*descriptors, *self._memory),
                # In a group of its own, so that Ctrl+C reaches it once, by us.
                process_group=0,
            )
        self._selector.register(ours, selectors.EVENT_READ)
        return Worker(process, ours, time.monotonic(), deaths=deaths)

    def _wait(self, signals: socket.socket) -> None:
        """Wait for a signal, a word of a worker, or the next thing to do."""
        moments = [worker.due for worker in self._workers if worker.due is not None and not self._stopping]
        if self._kill_at is not None:
            moments.append(self._kill_at)
        timeout = max(0.0, min(moments) - time.monotonic()) if moments else None
        for key, _ in self._selector.select(timeout):
            if key.fileobj is signals:
                for number in signals.recv(64):
                    if number in STOP_SIGNALS:
                        self._stop(number)
            else:
                self._hear(key.fd)

    def _hear(self, descriptor: int) -> None:
        worker = next(worker for worker in self._workers if worker.channel.fileno() == descriptor)
        if worker.channel.recv(64) != READY:
            # It has closed its end; that it has died is seen by its status.
            self._selector.unregister(worker.channel)
            return
        worker.ready = True
        if not self._announced and all(worker.ready for worker in self._workers):
            self._announced = True
            self._ready()

    def _look_after(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            for worker in self._alive():
                logger.error("Worker %d has not stopped within its grace period.", worker.process.pid)
                worker.process.kill()
                worker.process.wait()
        for place, worker in enumerate(self._workers):
            if worker.due is None and worker.process.poll() is not None:
                leave_shares(self._shares, place)
                self._bury(worker)
            elif worker.due is not None and now >= worker.due and not self._stopping:
                self._workers[place] = self._start(place, worker.deaths)
        reap_orphans({worker.process.pid for worker in self._workers if worker.due is None})

    def _bury(self, worker: Worker) -> None:
        """Decide what follows the end of a worker."""
        if worker.channel.fileno() in self._selector.get_map():
            self._selector.unregister(worker.channel)
        worker.channel.close()
        worker.due = now = time.monotonic()
        status = worker.process.returncode
        if self._stopping:
            # One that a signal has ended gets the status that shells give it.
            self._status = self._status or (status if status >= 0 else 128 - status)
            return
        if not self._announced:
            logger.error("Worker %d ended before it served, with status %d.", worker.process.pid, status)
            self._status = status if status > 0 else 1
            self._stop(signal.SIGTERM)
            return
        worker.deaths = worker.deaths + 1 if now - worker.started < STEADY else 0
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (worker.deaths - 1)) if worker.deaths else 0.0
        worker.due = now + pause
        logger.error(
            "Worker %d ended with status %d; another takes its place%s.",
            worker.process.pid,
            status,
            f" in {pause:g} s" if pause else "",
        )

    def _stop(self, number: int) -> None:
        """Hand a signal on; the workers know what a first and a second one mean."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace + LAST_STEPS
            # Clients that come now must be refused once the workers take no more.
            self._listener.close()
        for worker in self._alive():
            worker.process.send_signal(number)

    def _alive(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.due is None and worker.process.poll() is None]

    @contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Return a socket that receives the number of each signal."""
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


def ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the signal's number is read from the socket."""


def reap_orphans(own: Collection[int]) -> None:
    """Let go of ended processes that were never ours, such as a dead worker's own children.

    A container's first process inherits every orphan in it, and a subreaper (see `prctl(2)`) those below it. What
    nobody waits for stays in the table of processes.

    Args:
        own: The processes whose status somebody else waits for.
    """
    if sys.platform != "linux":
        return
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in own:
                # The signal that tells of it is on its way, and the next look finds the others.
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def repeat_command() -> list[str]:
    """Return the command line by which this process was started, the interpreter's own flags included."""
    return [sys.executable, *sys.orig_argv[1:]]
