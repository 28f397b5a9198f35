"""A real Postgres for the tests: Debian's programs, run as an ordinary user in a temporary folder."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.capabilities import INSTALL, lack
from tests.ports import find_port
from tests.process_states import is_alive, list_children

HOST = "127.0.0.1"
DATABASE_USER = "tester"
# How long the server may take to answer, in seconds.
PATIENCE = 60.0
# Users that may run a server where the tests run as root, whom Postgres refuses.
ORDINARY_USERS = ("postgres", "nobody")
# What was committed has to outlast a kill, but no power cut.
OPTIONS = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB")


@dataclass
class PostgresServer:
    """A Postgres server with a database of its own.

    Args:
        folder: Its temporary folder, with `data`, its Unix socket and `log`.
        port: Where it listens on 127.0.0.1; the Unix socket has the same number.
        options: Further settings, such as `max_connections=20`.
    """

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    name: str = field(default="postgres", init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The URL of its database, without a password."""
        return f"postgres://{DATABASE_USER}@{HOST}:{self.port}/postgres"

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Its main process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = (
            f"port={self.port}",
            f"listen_addresses={HOST}",
            f"unix_socket_directories={self.folder}",
            *OPTIONS,
            *self.options,
        )
        arguments = [argument for setting in settings for argument in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [find_program("postgres"), "-D", self.folder / "data", *arguments],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **as_ordinary_user(),
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            log_text = (self.folder / "log").read_text(errors="replace")
            assert self._process.poll() is None, log_text
            assert time.monotonic() < deadline, log_text
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill all of its processes."""
        if self._process is None:
            return
        killed = self._freeze_all()
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        # The next one refuses to start while another still holds the memory that they share.
        deadline = time.monotonic() + PATIENCE
        while any(is_alive(pid) for pid in killed):
            assert time.monotonic() < deadline, killed
            time.sleep(0.01)
        self._process = None
        # A server that is killed leaves it behind, and the next one would look for the process that it names.
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Make it fall silent."""
        self._freeze_all()

    def thaw(self) -> None:
        """Let it go on."""
        for pid in self._list_processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _freeze_all(self) -> list[int]:
        assert self._process is not None
        # First the one that would start others.
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        processes = self._list_processes()
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        return processes

    def _list_processes(self) -> list[int]:
        """Return its processes, the main one first; each of the others is in a group of its own."""
        assert self._process is not None
        main = self._process.pid
        return [main, *list_children(main)]

    def _answers(self) -> bool:
        """Return whether it has answered a question for TLS, which it does before all else."""
        try:
            with socket.create_connection((HOST, self.port), timeout=PATIENCE) as connection:
                connection.sendall(bytes((0, 0, 0, 8, 4, 210, 22, 47)))
                return connection.recv(1) in {b"S", b"N"} and self._takes_sessions()
        except OSError:
            return False

    def _takes_sessions(self) -> bool:
        ready = subprocess.run(
            [find_program("pg_isready"), "-q", "-h", HOST, "-p", str(self.port)], check=False, timeout=PATIENCE
        )
        return ready.returncode == 0


@contextmanager
def run_postgres(*options: str) -> Iterator[PostgresServer]:
    """Run a Postgres with an empty database for the length of the block.

    Args:
        options: Further settings, such as `max_connections=20`.
    """
    template = make_cluster()
    folder = make_folder()
    try:
        subprocess.run(["cp", "-a", template / "data", folder], check=True, timeout=PATIENCE, **as_ordinary_user())
        server = PostgresServer(folder, find_port(HOST), options)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@cache
def make_cluster() -> Path:
    """Make the files of a server, which each one gets a copy of, and return their folder."""
    initdb = find_program("initdb")
    folder = make_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run(
        [
            *(
                initdb,
                "-D",
                folder / "data",
                "-U",
                DATABASE_USER,
                "--auth=trust",
                "--no-sync",
                "--no-instructions",
            ),
            *("--encoding=UTF8", "--locale=C", "--wal-segsize=1"),
        ],
        check=True,
        capture_output=True,
        cwd=folder,
        timeout=PATIENCE,
        **as_ordinary_user(),
    )
    return folder


def make_folder() -> Path:
    """Make a folder of the user that runs the server; pytest's own ones are closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if user := as_ordinary_user():
        os.chown(folder, user["user"], user["group"])
    return folder


@cache
def find_program(name: str) -> Path:
    """Find a program of Postgres; Debian has those of the server in a folder for each version."""
    for candidate in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True):
        return candidate
    if found := shutil.which(name):
        return Path(found)
    lack(f"`{name}` is missing; install it with `{INSTALL['postgres']}`")


@cache
def as_ordinary_user() -> dict[str, Any]:
    """Return the arguments of `subprocess` by which root runs a program as another user."""
    if os.geteuid() != 0:
        return {}
    for name in ORDINARY_USERS:
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    lack("No ordinary user can run `postgres`")
