"""Several worker processes on one port: the parent, which starts and watches them, and each worker's end.

The broker that carries their topics is a child of the same parent, and is watched as they are.
"""

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
# The options of the command line by which the parent starts its children.
WORKER: Final = "--worker"
BROKER: Final = "--broker"
# What a child writes to its parent once it serves.
READY: Final = b"ready\n"
# What a child says as long as its event loop answers.
ALIVE: Final = b"."
# How often the children are looked at where they may be stuck, in seconds.
LOOK: Final = 5.0


@dataclass
class WatchedProcess:
    """A worker process or the broker, or the place of one that has ended.

    Args:
        process: The process.
        channel: Our end of the socket by which it reports that it serves, and sees that we are gone.
        started: When it was started, on the monotonic clock.
        name: What the log calls it.
        ready: Whether it serves.
        deaths: How often in a row one in this place has died at once.
        due: When the next one is started in its place, on the monotonic clock; `None` while it runs.
    """

    process: subprocess.Popen[bytes]
    channel: socket.socket
    started: float
    name: str = "Worker"
    ready: bool = False
    deaths: int = 0
    due: float | None = None
    # When its event loop last answered; `None` before it has begun to tell.
    heard: float | None = None


class Supervisor:
    """The parent of some workers on one listening socket; it never serves itself.

    Args:
        command: The command line of this process, to which `WORKER` and the arguments of `serve_worker`, or
            `BROKER` and those of `serve_broker`, are added.
        listener: The socket, bound and listening; every worker accepts from it.
        count: The number of workers.
        grace: How long a worker may take to stop, in seconds.
        on_ready: Called once all of them serve.
        snapshots: The descriptor of the memory for snapshots of their metrics, if they are measured.
        stuck_timeout: How long a worker's event loop may not answer before another takes its place, in seconds; 0
            for any time.
        broker: The socket of the broker that it starts beside them, if they need one.
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
        broker: socket.socket | None = None,
    ) -> None:
        self._command = command
        self._listener = listener
        self._count = count
        self._grace = grace
        self._workers: list[WatchedProcess] = []
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
        self._broker_socket = broker
        self._broker: WatchedProcess | None = None

    def run(self) -> int:
        """Run the workers until a signal stops them.

        Returns:
            The exit status: 0 after a stop in peace, otherwise that of the first worker that failed.
        """
        with ExitStack() as stack:
            signals = stack.enter_context(self._signals())
            self._selector.register(signals, selectors.EVENT_READ)
            stack.callback(self._selector.close)
            self._broker = self._start_broker()
            for place in range(self._count):
                self._workers.append(self._start(place))
            while any(worker.due is None for worker in self._workers) or not self._stopping:
                self._wait(signals)
                self._check_children()
            self._end_broker()
        return self._status

    @property
    def _stopping(self) -> bool:
        return self._kill_at is not None

    @property
    def _children(self) -> list[WatchedProcess]:
        return self._workers if self._broker is None else [*self._workers, self._broker]

    def _start(self, place: int, deaths: int = 0) -> WatchedProcess:
        inherited = (self._listener.fileno(), *self._memory)

        def arguments(channel: int) -> list[int]:
            return [self._listener.fileno(), channel, place, *self._memory]

        return self._start_child(WORKER, arguments, inherited, deaths)

    def _start_broker(self, deaths: int = 0) -> WatchedProcess | None:
        if self._broker_socket is None:
            return None
        descriptor = self._broker_socket.fileno()
        child = self._start_child(BROKER, lambda channel: [descriptor, channel], (descriptor,), deaths)
        child.name = "Local broker"
        return child

    def _start_child(
        self, option: str, arguments: Callable[[int], list[int]], inherited: Sequence[int], deaths: int
    ) -> WatchedProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [*self._command, option, *map(str, arguments(theirs.fileno()))],
                pass_fds=(theirs.fileno(), *inherited),
                # In a group of its own: Ctrl+C reaches it only through us.
                process_group=0,
            )
        self._selector.register(ours, selectors.EVENT_READ)
        return WatchedProcess(process, ours, time.monotonic(), deaths=deaths)

    def _wait(self, signals: socket.socket) -> None:
        """Wait for a signal, a worker's message, or the next thing to do."""
        moments = [child.due for child in self._children if child.due is not None and not self._stopping]
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
        child = next(child for child in self._children if child.channel.fileno() == descriptor)
        said = child.channel.recv(64)
        if ALIVE in said:
            child.heard = time.monotonic()
        if said and READY not in said:
            return
        if not said:
            # It has closed its end; `poll` finds out that it has ended.
            self._selector.unregister(child.channel)
            return
        child.ready = True
        if not self._announced and all(worker.ready for worker in self._workers):
            self._announced = True
            self._on_ready()

    def _check_children(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            for worker in self._alive(self._workers):
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
        self._check_broker(now)
        reap_orphans({child.process.pid for child in self._children if child.due is None})

    def _check_broker(self, now: float) -> None:
        broker = self._broker
        if broker is None:
            return
        if broker.due is None and broker.process.poll() is not None:
            self._close_channel(broker)
            self._plan_next(broker)
        elif broker.due is not None and now >= broker.due:
            # While workers stop, too: what they publish meanwhile is to arrive.
            self._broker = self._start_broker(broker.deaths)

    def _end_broker(self) -> None:
        """End the broker after the workers, which publish to the last."""
        broker = self._broker
        if broker is None or broker.due is not None:
            return
        self._close_channel(broker)
        try:
            broker.process.wait(LAST_STEPS)
        except subprocess.TimeoutExpired:
            broker.process.kill()
            broker.process.wait()

    def _end_stuck(self, now: float) -> None:
        """Kill the children whose event loop does not answer."""
        slept = now - self._looked > 2 * self._look + 1
        self._looked = now
        if not self._stuck_timeout or self._stopping:
            return
        for child in self._alive(self._children):
            if child.heard is None:
                continue
            if slept or is_traced(child.process.pid):
                # This process stood still, too, and has not read what they said; or somebody looks into one.
                child.heard = now
            elif now - child.heard > self._stuck_timeout:
                logger.error(
                    "%s %d has not answered for %g s (`server.stuck_timeout`), and is killed.",
                    child.name,
                    child.process.pid,
                    self._stuck_timeout,
                )
                child.process.kill()
                child.process.wait()

    def _note_end(self, worker: WatchedProcess) -> None:
        """Close what belongs to a worker that has ended, and decide when the next one takes its place."""
        self._close_channel(worker)
        worker.due = time.monotonic()
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
        self._plan_next(worker)

    def _close_channel(self, child: WatchedProcess) -> None:
        if child.channel.fileno() in self._selector.get_map():
            self._selector.unregister(child.channel)
        child.channel.close()

    def _plan_next(self, child: WatchedProcess) -> None:
        """Decide when another takes the place of a child that has ended."""
        now = time.monotonic()
        child.deaths = child.deaths + 1 if now - child.started < STEADY else 0
        pause = min(MAX_PAUSE, MIN_RETRY_PAUSE * 2 ** (child.deaths - 1)) if child.deaths else 0.0
        child.due = now + pause
        logger.error(
            "%s %d ended with status %d; another takes its place%s.",
            child.name,
            child.process.pid,
            child.process.returncode,
            f" in {pause:g} s" if pause else "",
        )

    def _stop(self, number: int) -> None:
        """Pass a signal to the workers, which know what a first and a second one mean."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace + LAST_STEPS
            # Clients that come now must be refused once the workers take no more.
            self._listener.close()
        for worker in self._alive(self._workers):
            # One that is still being started would end by Ctrl+C with a traceback.
            worker.process.send_signal(number if worker.ready else signal.SIGTERM)

    @staticmethod
    def _alive(children: list[WatchedProcess]) -> list[WatchedProcess]:
        return [child for child in children if child.due is None and child.process.poll() is None]

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
