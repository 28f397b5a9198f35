"""The Postgres that tests share."""

from __future__ import annotations

import psycopg
import pytest

from tests.brokers.postgres import run_postgres


def test_server_that_is_killed_keeps_what_was_committed() -> None:
    with run_postgres() as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept (number integer)")
            connection.execute("INSERT INTO kept VALUES (7)")
        with psycopg.connect(server.url) as connection:
            server.stop()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        server.start()
        with psycopg.connect(server.url) as connection:
            server.freeze()
            server.thaw()
            assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]
