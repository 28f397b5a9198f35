"""Postgres keeps the contract of a backplane, on a real server and behind a real pooler."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from nitro_py.backplane import Backplane, Outgoing
from nitro_py.brokers import postgres
from nitro_py.brokers.postgres import MAX_NOTIFIED, TABLE, PostgresBackplane
from nitro_py.brokers.registry import load_backplane
from nitro_py.errors import BackplaneError
from nitro_py.runtime.settings import BackplaneSettings
from nitro_py.testing.backplanes import BackplaneConformance, BrokerFaults, MakeBackplane, until
from tests.brokers.postgres import (
    DATABASE_USER,
    HOST,
    PATIENCE,
    PostgresServer,
    as_ordinary_user,
    make_folder,
    run_postgres,
)
from tests.capabilities import require_program
from tests.ports import find_port


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """Run a server for all tests of a process."""
    with run_postgres() as server:
        yield server


@pytest.fixture
def broker(server: PostgresServer) -> Iterator[PostgresServer]:
    """Let a test stop the server; the next one finds it running."""
    yield server
    if not server.running:
        server.start()


@pytest.fixture
def make_backplane(broker: PostgresServer) -> MakeBackplane:
    """Make backplanes as an app's settings do."""

    def make(prefix: str) -> Backplane:
        backplane = load_backplane(BackplaneSettings("postgres", broker.url, prefix))
        assert backplane is not None
        return backplane

    return make


@pytest.mark.slow
class TestPostgres(BackplaneConformance, BrokerFaults):
    """The suite."""


class Listener:
    """What a connection has received."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def receive(self, data: bytes) -> None:
        """Take a message."""
        self.heard.append(data)

    async def hear(self, *expected: bytes) -> None:
        """Wait until so much has come, and compare."""
        await until(lambda: len(self.heard) >= len(expected), "all messages", lambda: self.heard)
        assert self.heard == list(expected)


@pytest.mark.anyio
async def test_large_messages_keep_their_order_and_are_removed_later(
    broker: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "CLEAN_INTERVAL", 0)
    listener = Listener()
    hearing = await PostgresBackplane(broker.url, "app").connect(listener.receive)
    sending = await PostgresBackplane(broker.url, "app").connect(Listener().receive)
    await hearing.subscribe(["a"])
    sent = [b"1", bytes(MAX_NOTIFIED + 1), b"2", b"2", bytes(MAX_NOTIFIED), bytes(1_000_000), b"3"]
    await sending.publish([Outgoing("a", data) for data in sent])
    await listener.hear(*sent)
    with psycopg.connect(broker.url, autocommit=True) as admin:
        admin.execute(f"UPDATE {TABLE} SET created = now() - interval '1 hour'")
        await sending.publish([Outgoing("a", bytes(10_000))])
        await listener.hear(*sent, bytes(10_000))
        assert admin.execute(f"SELECT count(*) FROM {TABLE}").fetchall() == [(1,)]
    for connection in (hearing, sending):
        await connection.close()


@pytest.mark.anyio
async def test_user_who_may_make_no_table_has_a_limit(broker: PostgresServer) -> None:
    with psycopg.connect(broker.url, autocommit=True) as admin:
        admin.execute("CREATE DATABASE narrow")
        admin.execute("CREATE ROLE guest LOGIN")
    listener = Listener()
    url = f"postgres://guest@{HOST}:{broker.port}/narrow"
    connection = await PostgresBackplane(url, "app").connect(listener.receive)
    assert connection.max_size == MAX_NOTIFIED
    await connection.subscribe(["a"])
    await connection.publish([Outgoing("a", bytes(MAX_NOTIFIED))])
    await listener.hear(bytes(MAX_NOTIFIED))
    await connection.close()


@pytest.mark.anyio
async def test_call_that_is_given_up_at_a_silent_server_ends_at_once(broker: PostgresServer) -> None:
    connection = await PostgresBackplane(broker.url, "app").connect(Listener().receive)
    broker.freeze()
    try:
        publishing = asyncio.create_task(connection.publish([Outgoing("a", b"x")]))
        await asyncio.wait([publishing], timeout=0.2)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        with pytest.raises(BackplaneError, match="a query was given up"):
            await connection.wait_lost()
        await connection.close()
    finally:
        broker.thaw()


@contextmanager
def run_pooler(server: PostgresServer, mode: str) -> Iterator[str]:
    """Run PgBouncer in front of a server, and yield the URL of the database there."""
    program = require_program("pgbouncer")
    folder = make_folder()
    port = find_port(HOST)
    (folder / "users").write_text(f'"{DATABASE_USER}" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\npostgres = host={HOST} port={server.port}\n"
        f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {port}\nauth_type = trust\n"
        f"auth_file = {folder}/users\npool_mode = {mode}\nunix_socket_dir =\n"
    )
    process = subprocess.Popen(
        [program, folder / "pgbouncer.ini"], stderr=subprocess.DEVNULL, cwd=folder, **as_ordinary_user()
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection((HOST, port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield f"postgres://{DATABASE_USER}@{HOST}:{port}/postgres"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@pytest.mark.anyio
async def test_pooler_that_keeps_no_sessions_is_refused(broker: PostgresServer) -> None:
    refused = pytest.raises(BackplaneError, match="`pool_mode = transaction`")
    with run_pooler(broker, "transaction") as url, refused:
        await PostgresBackplane(url, "app").connect(Listener().receive)
    with run_pooler(broker, "session") as url:
        listener = Listener()
        connection = await PostgresBackplane(url, "app").connect(listener.receive)
        await connection.subscribe(["a"])
        await connection.publish([Outgoing("a", b"x"), Outgoing("a", bytes(10_000))])
        await listener.hear(b"x", bytes(10_000))
        await connection.close()
