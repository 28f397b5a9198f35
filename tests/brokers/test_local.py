"""The broker of the workers of one machine keeps the contract, and no worker can hurt another."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nitro_py.backplane import Backplane, Outgoing
from nitro_py.brokers.local import DONE, HEAD, MAX_MESSAGE, SUBSCRIBE, LocalBackplane, write_frames
from nitro_py.errors import BackplaneError
from nitro_py.server.workers.local_broker import MAX_WAITING, listen_privately
from nitro_py.testing.backplanes import BackplaneConformance, BrokerFaults, MakeBackplane, until
from tests.brokers.local import LocalBrokerProcess, run_local_broker
from tests.brokers.postgres import as_ordinary_user

PATIENCE = 60.0
PREFIX = b"app\x00"
DONE_FRAME = HEAD.pack(0, DONE)
# The user changes late: another one may not be able to run this Python.
CONNECT = """
import os, socket, sys
os.setgroups([])
os.setgid(int(sys.argv[3]))
os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    try:
        print(connection.recv(64))
    except ConnectionResetError:
        print(b"")
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalBrokerProcess]:
    """Run a broker for one test."""
    with run_local_broker(tmp_path / "log") as broker:
        yield broker


@pytest.fixture
def make_backplane(broker: LocalBrokerProcess) -> MakeBackplane:
    """Make backplanes as workers do."""

    def make(prefix: str) -> Backplane:
        return LocalBackplane(broker.url, prefix)

    return make


@pytest.mark.slow
class TestLocalBroker(BackplaneConformance, BrokerFaults):
    """The suite."""


def connect(broker: LocalBrokerProcess) -> socket.socket:
    """Connect as a worker that reads only what a test reads."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(broker.listener.getsockname())
    assert connection.recv(len(DONE_FRAME)) == DONE_FRAME
    return connection


def read_to_end(connection: socket.socket) -> int:
    """Read until the connection is lost, and return how many bytes there were."""
    count = 0
    while True:
        try:
            data = connection.recv(1 << 20)
        except ConnectionResetError:
            return count
        if not data:
            return count
        count += len(data)


@pytest.mark.anyio
async def test_worker_that_reads_too_slowly_is_cut_off_alone(broker: LocalBrokerProcess) -> None:
    heard: list[bytes] = []

    async def receive(data: bytes) -> None:
        heard.append(data)

    backplane = LocalBackplane(broker.url, "app")
    listener, publisher = await backplane.connect(receive), await backplane.connect(receive)
    await listener.subscribe(["flood"])
    with connect(broker) as slow:
        slow.sendall(b"".join(write_frames(SUBSCRIBE, [(PREFIX + b"flood", b"")])))
        assert slow.recv(len(DONE_FRAME)) == DONE_FRAME
        sent = [b"%d" % number + bytes(1 << 20) for number in range(3 * MAX_WAITING // (1 << 20))]
        for data in sent:
            await publisher.publish([Outgoing("flood", data)])
        # Much less than was sent: what waited was dropped with the connection.
        assert await asyncio.to_thread(read_to_end, slow) < 2 * MAX_WAITING
    await until(lambda: len(heard) == len(sent), "all messages", lambda: len(heard))
    assert heard == sent
    assert f"cut off worker {os.getpid()}, which reads too slowly: the " in broker.log.read_text()
    back = await backplane.connect(receive)
    await back.subscribe(["flood"])
    for connection in (listener, publisher, back):
        await connection.close()


@pytest.mark.anyio
async def test_worker_that_sends_nonsense_is_cut_off_alone(broker: LocalBrokerProcess) -> None:
    heard: list[bytes] = []

    async def receive(data: bytes) -> None:
        heard.append(data)

    connection = await LocalBackplane(broker.url, "app").connect(receive)
    other = await LocalBackplane(broker.url, "app").connect(receive)
    await connection.subscribe(["a"])
    for nonsense in (HEAD.pack(2**32 - 1, 1), HEAD.pack(3, SUBSCRIBE) + b"xyz"):
        with connect(broker) as bad:
            bad.sendall(nonsense)
            assert await asyncio.to_thread(read_to_end, bad) == 0
    await other.publish([Outgoing("a", b"x")])
    await until(lambda: heard == [b"x"], "the message", lambda: heard)
    assert broker.log.read_text().count("which sent what is no frame") == 2
    for item in (connection, other):
        await item.close()


@pytest.mark.anyio
async def test_largest_message_and_many_at_once_are_carried(broker: LocalBrokerProcess) -> None:
    heard: list[int] = []

    async def receive(data: bytes) -> None:
        heard.append(len(data))

    connection = await LocalBackplane(broker.url, "app").connect(receive)
    other = await LocalBackplane(broker.url, "app").connect(receive)
    await connection.subscribe(["a", *(f"{number} {'x' * 4000}" for number in range(1000))])
    await other.publish([Outgoing("a", bytes(MAX_MESSAGE))])
    await other.publish([Outgoing("a", bytes(1000)) for _ in range(5000)])
    await until(lambda: heard == [MAX_MESSAGE] + [1000] * 5000, "all messages", lambda: len(heard))
    for item in (connection, other):
        await item.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell who connects")
def test_process_of_another_user_is_refused(broker: LocalBrokerProcess) -> None:
    user = as_ordinary_user()
    if not user:
        pytest.skip("only root can be another user")
    path = Path(broker.listener.getsockname())
    assert path.parent.stat().st_mode & 0o777 == 0o700
    command = [sys.executable, "-c", CONNECT, str(path), str(user["user"]), str(user["group"])]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "PermissionError" in refused.stderr
    # Even where the folder lets it in.
    path.parent.chmod(0o711)
    path.chmod(0o777)
    cut_off = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert cut_off.stdout == "b''\n"
    assert "The local broker has refused process " in broker.log.read_text()
    with connect(broker):
        pass


@pytest.mark.anyio
async def test_broker_ends_after_the_last_worker_of_a_parent_that_is_gone(broker: LocalBrokerProcess) -> None:
    heard: list[bytes] = []

    async def receive(data: bytes) -> None:
        heard.append(data)

    folder = Path(broker.listener.getsockname()).parent
    connection = await LocalBackplane(broker.url, "app").connect(receive)
    other = await LocalBackplane(broker.url, "app").connect(receive)
    await connection.subscribe(["a"])
    broker.leave()
    # What a worker publishes while it stops arrives.
    await other.publish([Outgoing("a", b"x")])
    await until(lambda: heard == [b"x"], "the message", lambda: heard)
    await connection.close()
    assert broker.process.poll() is None
    await other.close()
    assert await asyncio.to_thread(broker.process.wait, PATIENCE) == 0
    assert not folder.exists()


@pytest.mark.anyio
async def test_socket_that_leads_nowhere_is_an_error() -> None:
    with pytest.raises(BackplaneError, match="cannot be reached: No such file or directory"):
        await LocalBackplane("local:///nowhere/broker", "app").connect(asyncio.Queue[bytes]().put)


def test_folder_is_removed_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with listen_privately() as listener:
        (folder,) = tmp_path.iterdir()
        assert Path(listener.getsockname()).parent == folder
    assert list(tmp_path.iterdir()) == []
