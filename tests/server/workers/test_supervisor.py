"""The parent of workers, with real processes that live as long as a test says."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nitro_py.server.workers import supervisor as supervisor_module
from nitro_py.server.workers.supervisor import Supervisor

# How long anything may take, in seconds.
PATIENCE = 60.0
# A worker that lives for less has died at once, and the first pause after that.
STEADY, PAUSE = 5.0, 0.1
# The arguments are the folder, the lives in seconds with commas between them, then what the supervisor adds.
WORKER = """
import os, signal, sys, time

folder, lives, listener, channel, place = sys.argv[1], sys.argv[2].split(","), *map(int, sys.argv[4:7])

def stop(_, frame):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.close(listener)
    open(f"{folder}/stopping{place}", "w").close()
    while not os.path.exists(folder + "/go") and not os.path.exists(f"{folder}/go{place}"):
        time.sleep(0.01)
    os._exit(0)

signal.signal(signal.SIGTERM, stop)
number = len(os.listdir(folder + "/starts"))
open(f"{folder}/starts/{number} {os.getpid()}", "w").close()
os.write(channel, b"ready\\n")
time.sleep(float(lives[min(number, len(lives) - 1)]))
os._exit(7)
"""


@dataclass
class Stage:
    """A supervisor in the main thread, and what a test does meanwhile in another.

    Args:
        folder: Where the workers note that they started.
        listener: The socket that they share.
    """

    folder: Path
    listener: socket.socket
    port: int = field(init=False)
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "starts").mkdir()
        self.port = self.listener.getsockname()[1]

    def run(self, lives: Sequence[float], act: Callable[[Stage], None], *, count: int = 1) -> int:
        """Run workers, act beside them, then stop them, and return the status."""

        def act_and_stop() -> None:
            try:
                act(self)
            finally:
                (self.folder / "go").touch()
                os.kill(os.getpid(), signal.SIGTERM)

        command = [sys.executable, "-I", "-S", "-c", WORKER, str(self.folder), ",".join(map(str, lives))]
        thread = threading.Thread(target=act_and_stop)
        found = Supervisor(command, self.listener, count=count, grace=PATIENCE, on_ready=thread.start)
        # The last signal may come when the supervisor has ended, and must not end the tests.
        before = signal.signal(signal.SIGTERM, lambda number, frame: None)
        try:
            return found.run()
        finally:
            thread.join()
            signal.signal(signal.SIGTERM, before)

    def wait_for_starts(self, count: int) -> None:
        """Wait until so many workers have started."""
        self.wait(lambda: len(list((self.folder / "starts").iterdir())) >= count)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Return a stage whose times are short."""
    monkeypatch.setattr(supervisor_module, "STEADY", STEADY)
    monkeypatch.setattr(supervisor_module, "MIN_RETRY_PAUSE", PAUSE)
    return Stage(tmp_path, socket.create_server(("127.0.0.1", 0)))


def test_pauses_double_and_begin_anew_after_a_worker_that_was_steady(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    lives = (0, 0, 0, STEADY + 0.5, 0, 0, 1000)
    with caplog.at_level(logging.ERROR):
        assert stage.run(lives, lambda stage: stage.wait_for_starts(len(lives))) == 0
    ends = [record.getMessage() for record in caplog.records]
    assert [end.partition("; ")[2] for end in ends] == [
        "another takes its place in 0.1 s.",
        "another takes its place in 0.2 s.",
        "another takes its place in 0.4 s.",
        "another takes its place.",
        "another takes its place in 0.1 s.",
        "another takes its place in 0.2 s.",
    ]


def test_pauses_have_an_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor_module, "MAX_PAUSE", 0.15)
    with caplog.at_level(logging.ERROR):
        stage.run((0, 0, 0, 1000), lambda stage: stage.wait_for_starts(4))
    assert [record.getMessage().rpartition(" in ")[2] for record in caplog.records] == [
        "0.1 s.",
        "0.15 s.",
        "0.15 s.",
    ]


def test_deaths_of_one_place_do_not_count_for_another(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    def kill_each_once(stage: Stage) -> None:
        stage.wait_for_starts(2)
        for number, path in enumerate(sorted((stage.folder / "starts").iterdir())):
            os.kill(int(path.name.split()[1]), signal.SIGKILL)
            stage.wait_for_starts(3 + number)

    with caplog.at_level(logging.ERROR):
        assert stage.run((1000,), kill_each_once, count=2) == 0
    assert [record.getMessage().rpartition(" in ")[2] for record in caplog.records] == ["0.1 s."] * 2


def test_supervisor_that_stops_refuses_new_connections(stage: Stage) -> None:
    tried: list[type[BaseException] | None] = []

    def connect() -> None:
        try:
            socket.create_connection(("127.0.0.1", stage.port), timeout=PATIENCE).close()
        except OSError as error:
            tried.append(type(error))
        else:
            tried.append(None)

    def stop_slowly(stage: Stage) -> None:
        connect()
        os.kill(os.getpid(), signal.SIGTERM)
        stage.wait((stage.folder / "stopping0").exists)
        # The worker has closed its end, and has not ended yet.
        connect()

    assert stage.run((1000,), stop_slowly) == 0
    assert tried == [None, ConnectionRefusedError]


def test_worker_that_ends_during_the_stop_is_not_replaced(stage: Stage) -> None:
    def stop_and_let_one_go(stage: Stage) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        stage.wait(lambda: len(list(stage.folder.glob("stopping*"))) == 2)
        (stage.folder / "go0").touch()
        # The other keeps the supervisor waiting for longer than a replacement would take to start.
        time.sleep(0.5)

    assert stage.run((1000,), stop_and_let_one_go, count=2) == 0
    assert len(list((stage.folder / "starts").iterdir())) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_before_the_workers_have_started_is_clean(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    starting = f"import os, time; open(f'{tmp_path}/{{os.getpid()}}', 'w').close(); time.sleep({PATIENCE})"
    command = [sys.executable, "-I", "-S", "-c", starting]

    def stop_early() -> None:
        deadline = time.monotonic() + PATIENCE
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Supervisor(command, listener, count=2, grace=PATIENCE, on_ready=lambda: None)
        thread = threading.Thread(target=stop_early)
        thread.start()
        assert found.run() == 0
        thread.join()
    assert capfd.readouterr().err == ""


def test_worker_that_is_killed_during_the_stop_is_no_clean_end(stage: Stage) -> None:
    def stop_and_kill(stage: Stage) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        stage.wait((stage.folder / "stopping0").exists)
        (started,) = (stage.folder / "starts").iterdir()
        os.kill(int(started.name.split()[1]), signal.SIGKILL)

    assert stage.run((1000,), stop_and_kill) == 128 + signal.SIGKILL
