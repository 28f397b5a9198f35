"""Where storages are kept, on servers that run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from redis import Redis

from nitro_py.errors import ConfigError, NitroError
from nitro_py.runtime.manifest import read_manifest
from nitro_py.testing import client
from tests.brokers.processes import run_broker
from tests.bundles import clean_environment, plan_project, run_bundle, write_files
from tests.cli.commands import serve_project
from tests.dev.pages import wait_for
from tests.stores.app import PLAIN, write_project

from nitro_py.build.pipeline import write_plan  # isort: skip


def build(root: Path, preset: str = "asgi") -> Path:
    """Build a project and return its output folder."""
    plan = plan_project(root, preset=preset)
    write_plan(plan)
    return plan.output


def count(url: str, name: str = "default") -> int:
    """Count once, and return how often it was."""
    answer = httpx.get(f"{url}/count", params={"name": name})
    assert answer.status_code == 200, answer.text
    number: int = answer.json()
    return number


def test_values_outlive_the_server_and_the_build_and_workers_share_them(tmp_path: Path) -> None:
    output = build(write_project(tmp_path))
    with run_bundle(output, "--workers", "4", "--port", "0") as server:
        assert [count(server.url) for _ in range(40)] == list(range(1, 41))
        server.stop()
    output = build(tmp_path)
    with run_bundle(output) as server:
        assert (count(server.url), count(server.url, "other")) == (41, 1)
        server.stop()
    data = tmp_path / ".data"
    assert (data / ".gitignore").read_text() == "*\n"
    assert (data / "storage.sqlite3").is_file()
    # What a stopped server leaves is one file.
    assert sorted(path.name for path in data.iterdir()) == [".gitignore", "storage.sqlite3"]


def test_folder_and_file_can_be_chosen_where_it_runs(tmp_path: Path) -> None:
    output = build(write_project(tmp_path, '[storage.other]\ndriver = "sqlite"\n'))
    environ = {
        "NITRO_DATA_DIR": str(tmp_path / "elsewhere"),
        "NITRO_STORAGE__OTHER__URL": f"sqlite://{tmp_path}/third/other.sqlite3",
        "NITRO_STORAGE__LOST__DRIVER": "memory",
    }
    with run_bundle(output, environ=environ) as server:
        assert [count(server.url, name) for name in ("default", "other", "lost")] == [1, 1, 1]
        server.stop()
    assert (tmp_path / "elsewhere/storage.sqlite3").is_file()
    assert (tmp_path / "third/other.sqlite3").is_file()
    assert not (tmp_path / ".data").exists()


def test_server_that_uses_no_storage_loads_none(tmp_path: Path) -> None:
    with run_bundle(build(write_files(tmp_path / "none", {"handlers/plain.py": PLAIN}))) as server:
        assert httpx.get(f"{server.url}/plain").json() == []
        server.stop()
    with run_bundle(build(write_project(tmp_path / "some"))) as server:
        assert httpx.get(f"{server.url}/plain").json() == ["nitro_py.storage_driver", "nitro_py.storages"]
        count(server.url)
        assert "nitro_py.stores.sqlite" in httpx.get(f"{server.url}/plain").json()
        server.stop()


def test_development_keeps_values_beside_the_project(tmp_path: Path) -> None:
    # A broker that is the backplane of the bundle is not needed.
    root = write_project(tmp_path / "app", 'backplane = "redis"\nbackplane_url = "redis://127.0.0.1:1"\n')
    for expected in (1, 2):
        with serve_project(root, "dev", "--port", "0") as server:
            wait_for(lambda: "Ready in" in server.read_log())
            assert count(server.url) == expected
    assert (root / ".data/storage.sqlite3").is_file()


def test_container_has_no_place_of_its_own(tmp_path: Path) -> None:
    output = build(write_project(tmp_path), "container")
    with run_bundle(output) as server:
        assert httpx.get(f"{server.url}/count").status_code == 500
        log = server.read_log()
        assert "The storage `default` has no place: expected a driver in `[storage.default]`, got none." in log
        assert "`NITRO_STORAGE__DEFAULT__URL`" in log
        server.stop()
    assert not (tmp_path / ".data").exists()


def test_container_keeps_values_at_the_broker_or_where_it_is_told(tmp_path: Path) -> None:
    root = write_project(tmp_path, '[storage.other]\ndriver = "redis"\n')
    output = build(root, "container")
    assert "redis==" in (output / "server/requirements.txt").read_text()
    with run_broker("redis") as one, run_broker("redis") as two:
        environ = {
            "NITRO_BACKPLANE": "redis",
            "NITRO_BACKPLANE_URL": one.url,
            "NITRO_STORAGE__OTHER__URL": two.url,
        }
        with run_bundle(output, environ=environ) as first, run_bundle(output, environ=environ) as second:
            for number in (1, 3):
                assert [count(first.url), count(second.url)] == [number, number + 1]
                assert [count(first.url, "other"), count(second.url, "other")] == [number, number + 1]
            for broker, name in ((one, b"default"), (two, b"other")):
                with Redis.from_url(broker.url) as admin:
                    assert [*admin.scan_iter("*:v:*")] == [b"{nitro%3A" + name + b"}:v:hits"]
        with run_bundle(output, environ={"NITRO_STORAGE__DEFAULT__DRIVER": "redis"}) as server:
            assert httpx.get(f"{server.url}/count").status_code == 500
            assert "has no URL: expected `storage.default.url`, got nothing." in server.read_log()
            assert "`NITRO_STORAGE__DEFAULT__URL`" in server.read_log()


@pytest.mark.anyio
async def test_test_of_a_handler_begins_with_an_empty_storage(tmp_path: Path) -> None:
    root = write_project(tmp_path, '[storage.other]\ndriver = "sqlite"\nurl = "sqlite:///nowhere/other.sqlite3"\n')
    for _ in range(2):
        async with client(root) as app:
            assert (await app.get("/count")).json() == 1
            assert (await app.get("/count?name=other")).json() == 1
            assert (await app.get("/count")).json() == 2


def test_unknown_driver_is_refused_by_the_build(tmp_path: Path) -> None:
    root = write_project(tmp_path, '[storage.carts]\nurl = "x"\ndriver = "attic"\n')
    with pytest.raises(ConfigError) as caught:
        plan_project(root, preset="asgi")
    assert str(caught.value).startswith("Unknown storage driver `attic`: expected one of `memory`, ")
    assert (caught.value.file, caught.value.line) == ("nitro.toml", 3)


@pytest.mark.parametrize(
    ("config", "message", "line"),
    [
        ('[storage.Carts]\ndriver = "memory"\n', "the name of a storage: lower-case letters, digits and `_`", 1),
        ('[storage.a]\ndriver = "sqlite"\nurl = "/srv/a"\n', "The URL names no file of SQLite", 3),
        ('[storage.a]\ndriver = "memory"\nurl = "x"\n', "`memory` takes no URL", 3),
        ('[storage.a]\ndriver = "sqlite"\nurl = "x://u:geheim@h"\n', "`NITRO_STORAGE__A__URL=...`", 3),
    ],
)
def test_wrong_setting_is_refused_with_its_place(tmp_path: Path, config: str, message: str, line: int) -> None:
    root = write_project(tmp_path, config)
    with pytest.raises(NitroError) as caught:
        plan_project(root, preset="asgi")
    assert message in str(caught.value)
    assert f"at nitro.toml:{line}" in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_report_shows_storages_without_secrets(tmp_path: Path) -> None:
    config = '[storage.carts]\ndriver = "sqlite"\nurl = "sqlite:carts.sqlite3"\n'
    root = write_files(
        tmp_path, {"nitro.toml": config, ".env": "NITRO_STORAGE__CARTS__URL=x://ada:geheim@host/1\n"}
    )
    command = [sys.executable, "-m", "nitro_py", "config", "show", "--json"]
    shown = subprocess.run(command, cwd=root, env=clean_environment(), capture_output=True, text=True, check=True)
    found = {row["setting"]: row["value"] for row in json.loads(shown.stdout)}
    assert found["storage.carts.driver"] == "sqlite"
    assert found["storage.carts.url"] == "x://***@host/1"
    assert "geheim" not in shown.stdout


def test_third_party_driver_is_found_without_its_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "attic-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: attic\nVersion: 1.0\n")
    (info / "RECORD").write_text("attic.py,,\n")
    (info / "entry_points.txt").write_text("[nitro_py.storage_drivers]\nattic = attic:Attic\n")
    (tmp_path / "attic.py").write_text("from nitro_py.stores.memory import MemoryDriver as Attic\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    root = write_project(tmp_path / "app", '[storage.default]\ndriver = "attic"\n')
    output = build(root)
    assert read_manifest(output / "server").settings["storage_drivers"] == {"attic": "attic:Attic"}
    assert "attic==1.0" in (output / "server/requirements.txt").read_text()
    (tmp_path / "lib").mkdir()
    (tmp_path / "attic.py").rename(tmp_path / "lib/attic.py")
    with run_bundle(output, environ={"PYTHONPATH": str(tmp_path / "lib")}) as server:
        assert [count(server.url), count(server.url)] == [1, 2]
        server.stop()
