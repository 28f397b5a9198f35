"""Finding backplanes, and setting them where the bundle runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.backplane import BackplaneFactory
from nitro_py.brokers.nats import NatsBackplane, make_token
from nitro_py.brokers.redis import RedisBackplane
from nitro_py.brokers.registry import BUILT_IN, BuiltInBackplane, find_client, list_backplanes, load_backplane
from nitro_py.errors import UsageError
from nitro_py.runtime.settings import BackplaneSettings, Settings
from nitro_py.testing import client
from tests.bundles import write_files

FACTORIES: dict[str, BackplaneFactory] = {"nats": NatsBackplane, "redis": RedisBackplane}


def test_environment_overrides_the_manifest() -> None:
    data = {"backplane": "nats", "backplane_url": "nats://a", "backplane_prefix": "shop"}
    assert Settings.from_json(data, {}).backplane == BackplaneSettings("nats", "nats://a", "shop")
    environ = {"NITRO_BACKPLANE": "redis", "NITRO_BACKPLANE_URL": "redis://b", "NITRO_BACKPLANE_PREFIX": "other"}
    assert Settings.from_json(data, environ).backplane == BackplaneSettings("redis", "redis://b", "other")
    # A platform may define a variable without a value.
    assert Settings.from_json(data, {"NITRO_BACKPLANE": ""}).backplane.name == "nats"
    assert Settings.from_json({}, {}).backplane == BackplaneSettings("memory", "", "nitro")


def test_memory_is_no_backplane() -> None:
    assert load_backplane(BackplaneSettings()) is None
    assert find_client("memory") is None
    assert find_client("local") is None


@pytest.mark.parametrize("name", FACTORIES)
def test_built_in_ones_are_found(name: str) -> None:
    made = FACTORIES[name](f"{name}://a", "nitro")
    assert type(load_backplane(BackplaneSettings(name, f"{name}://a"))) is type(made)
    assert find_client(name) == name
    assert load_backplane(BackplaneSettings("nats", "nats://a,nats://b")) is not None


def test_built_in_one_may_have_another_name_than_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILT_IN, "rabbit", BuiltInBackplane("nitro_py.brokers.nats:NatsBackplane", "aio_pika"))
    assert list(list_backplanes()) == ["local", "nats", "postgres", "rabbit", "redis"]
    assert find_client("rabbit") == "aio_pika"
    assert find_client("postgres") == "psycopg"
    assert type(load_backplane(BackplaneSettings("rabbit", "nats://a"))) is NatsBackplane


@pytest.mark.anyio
async def test_tests_of_handlers_need_no_broker(tmp_path: Path) -> None:
    hello = "from nitro_py import define_handler\n\n@define_handler\ndef handler(event): ...\n"
    write_files(tmp_path, {"handlers/a.py": hello, "nitro.toml": 'backplane = "redis"'})
    async with client(tmp_path) as app:
        assert (await app.get("/_nitro/health")).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            BackplaneSettings("kafka"),
            "Unknown backplane `kafka`: expected one of `local`, `memory`, `nats`, `postgres`, `redis`.",
        ),
        (BackplaneSettings("redis"), "The backplane `redis` has no URL.\n  hint: Set `NITRO_BACKPLANE_URL`"),
        (BackplaneSettings("local"), "The backplane `local` has no broker here"),
        (BackplaneSettings("local", "redis://:pw@a"), "does not fit the backplane `local`"),
        (BackplaneSettings("redis", "redis://"), "leads to no such broker"),
        (BackplaneSettings("redis", "localhost:6379"), "expected `redis://…`, `rediss://…`, `unix://…`"),
        (BackplaneSettings("nats", "nats://a,redis://:pw@b"), "got `redis://…`"),
        (BackplaneSettings("nats", "nats://[a"), "is malformed"),
    ],
)
def test_what_cannot_be_used_says_why(settings: BackplaneSettings, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_backplane(settings)
    assert problem in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package that provides a backplane, and one that lacks it."""
    info = tmp_path / "carrier-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[nitro_py.backplanes]\npigeon = carrier_pigeon.loft:Loft\nsnail = carrier_snail:Snail\n"
    )
    (tmp_path / "carrier_pigeon").mkdir()
    (tmp_path / "carrier_pigeon" / "__init__.py").touch()
    (tmp_path / "carrier_pigeon" / "loft.py").write_text(
        "class Loft:\n    def __init__(self, url, prefix):\n        self.place = (url, prefix)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("third_party")
def test_third_party_ones_are_found_by_their_entry_point() -> None:
    backplane = load_backplane(BackplaneSettings("pigeon", "pigeon://loft", "shop"))
    assert getattr(backplane, "place", None) == ("pigeon://loft", "shop")
    assert find_client("pigeon") == "carrier_pigeon"
    with pytest.raises(UsageError, match="`snail` cannot be imported: No module named 'carrier_snail'"):
        load_backplane(BackplaneSettings("snail", "snail://"))


def test_subjects_differ_where_topics_do() -> None:
    topics = ["", "%", ".", "a.b", "a b", "a%2Eb", "*", ">", "x" * 2000, "x" * 2001, "é"]
    tokens = [make_token(topic) for topic in topics]
    assert len(set(tokens)) == len(topics)
    assert not any(set(token) & set(". *>\r\n") or not token or len(token) > 1000 for token in tokens)
