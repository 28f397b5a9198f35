"""The broker of the workers of one machine for the tests, in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nitro_py.server.workers.local_broker import format_broker_url, listen_privately
from nitro_py.server.workers.supervisor import ALIVE, READY

PROGRAM = f"""
import logging, sys
from nitro_py.server.workers.local_broker import serve_broker
logging.basicConfig()
serve_broker(int(sys.argv[1]), int(sys.argv[2]), {READY!r}, {ALIVE!r})
"""


@dataclass
class LocalBrokerProcess:
    """A local broker whose parent is the test.

    Args:
        listener: The socket that workers connect to.
        log: The file that takes what it prints.
    """

    listener: socket.socket
    log: Path
    name: str = "local"
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _channel: socket.socket | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """What `backplane_url` says."""
        return format_broker_url(self.listener)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that runs."""
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def start(self) -> None:
        """Start it, and wait until it takes workers."""
        ours, theirs = socket.socketpair()
        descriptors = (self.listener.fileno(), theirs.fileno())
        with theirs, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *map(str, descriptors)], pass_fds=descriptors, stderr=log
            )
        assert ours.recv(len(READY)) == READY
        self._channel = ours

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.leave()

    def leave(self) -> None:
        """Let it find that its parent is gone."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def freeze(self) -> None:
        """Make it fall silent."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def run_local_broker(log: Path) -> Iterator[LocalBrokerProcess]:
    """Run a local broker for the length of the block.

    Args:
        log: The file that takes what it prints.
    """
    with listen_privately() as listener:
        broker = LocalBrokerProcess(listener, log)
        broker.start()
        try:
            yield broker
        finally:
            broker.stop()
