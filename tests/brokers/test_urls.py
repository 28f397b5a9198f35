"""URLs of brokers: what is malformed is told at once, and no part of a password is in a message."""

from __future__ import annotations

import traceback

import pytest

from nitro_py.brokers.nats import NatsBackplane
from nitro_py.brokers.postgres import PostgresBackplane
from nitro_py.brokers.redis import RedisBackplane
from nitro_py.errors import UsageError

SECRET = "hunter2"


@pytest.mark.parametrize(
    "rest",
    [
        f"user:{SECRET}/x@broker.test",
        f":{SECRET}?x@broker.test",
        f":{SECRET}#x@broker.test",
        f":1/{SECRET}@broker.test",
        f"user:1?{SECRET}@broker.test",
        f"user:{SECRET}@x@broker.test",
        f"user:{SECRET}@broker.test:port",
        f"user:{SECRET}@broker.test:99999",
        f"user:{SECRET}@broker.test:0",
        f"user:{SECRET}@",
        f"[{SECRET}",
    ],
)
@pytest.mark.parametrize(
    ("kind", "scheme"), [(RedisBackplane, "redis"), (NatsBackplane, "nats"), (PostgresBackplane, "postgres")]
)
def test_malformed_url_is_refused(
    kind: type[RedisBackplane | NatsBackplane | PostgresBackplane], scheme: str, rest: str
) -> None:
    with pytest.raises(UsageError) as caught:
        kind(f"{scheme}://{rest}", "app")
    text = "".join(traceback.format_exception(caught.value))
    assert "`backplane_url` is malformed." in text
    assert SECRET not in text


@pytest.mark.parametrize(
    "url",
    [f"{SECRET}:x@broker.test", f"redis:{SECRET}@broker.test", SECRET, f"{SECRET}://broker.test", "redis://"],
)
def test_url_without_a_known_scheme_is_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="leads to no such broker") as caught:
        RedisBackplane(url, "app")
    assert SECRET not in str(caught.value)


def test_option_that_postgres_does_not_know_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        PostgresBackplane(f"postgres://broker.test/db?{SECRET}=1", "app")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_option_that_the_client_cannot_read_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        RedisBackplane(f"redis://broker.test?socket_timeout={SECRET}", "app")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "option",
    [
        "socket_timout=5",
        "ssl_cert_reqs=none",
        "protocol=9",
        "decode_responses=true",
        "encoding=latin-1",
        "retry=3",
        "max_connections=1",
        "socket_keepalive_options=x",
        f"password=1&{SECRET}=x",
    ],
)
def test_option_that_could_only_fail_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match="has an option") as caught:
        RedisBackplane(f"redis://broker.test?{option}", "app")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_option_of_tls_is_checked() -> None:
    RedisBackplane("rediss://broker.test?ssl_cert_reqs=none&ssl_check_hostname=false", "app")
    with pytest.raises(UsageError, match="has an option"):
        RedisBackplane("rediss://broker.test?ssl_cert_reqs=never", "app")


@pytest.mark.parametrize(
    "url",
    [
        "redis://broker.test",
        "rediss://user:p%40ss%2F@broker.test:6380/1",
        "redis://:secret@[::1]:6379/0?socket_timeout=5",
        "unix:///run/redis.sock",
        "redis://broker.test?password=p@ss",
    ],
)
def test_url_is_accepted(url: str) -> None:
    RedisBackplane(url, "app")
    NatsBackplane("nats://user:p%40ss@a.test:4222,tls://b.test", "app")
