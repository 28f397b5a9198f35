"""`nitropy storage` as a process, beside the servers whose storages it opens."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.brokers.processes import run_broker
from tests.cli.commands import fail, run_nitropy, serve_project, succeed
from tests.dev.pages import wait_for
from tests.stores.app import write_project

pytestmark = pytest.mark.timeout(300)

NOWHERE = 'backplane = "redis"\nbackplane_url = "redis://127.0.0.1:1"\n'


def storage(root: Path, *arguments: str, **environ: str) -> str:
    """Run `nitropy storage` and return what it printed."""
    return succeed(root, "storage", *arguments, environ=environ)


def test_values_of_development_are_read_and_written_while_it_runs(tmp_path: Path) -> None:
    # Only the bundle has a broker.
    root = write_project(tmp_path / "app", NOWHERE)
    with serve_project(root, "dev", "--port", "0") as server:
        wait_for(lambda: "Ready in" in server.read_log())
        assert httpx.get(f"{server.url}/count").json() == 1
        assert storage(root, "get", "hits") == "1\n"
        assert storage(root, "set", "hits", "41") == (
            "Set `hits` in the storage `default` of `nitropy dev` (`sqlite`).\n"
        )
        assert httpx.get(f"{server.url}/count").json() == 42
        assert httpx.get(f"{server.url}/count", params={"name": "other"}).json() == 1
        assert storage(root, "get", "hits", "--storage", "other") == "1\n"
    assert storage(root, "get", "hits") == "42\n"


def test_values_are_json_text_or_bytes(tmp_path: Path) -> None:
    root = write_project(tmp_path)
    storage(root, "set", "a", '{"ö": [1, null]}', "--ttl", "3600")
    assert storage(root, "get", "a") == '{"ö":[1,null]}\n'
    found = json.loads(storage(root, "get", "a", "--json"))
    assert (found["key"], found["value"], found["expires_at"] is not None) == ("a", {"ö": [1, None]}, True)
    written = json.loads(storage(root, "set", "b", "1", "--text", "--json"))
    assert json.loads(storage(root, "get", "b", "--json")) == {
        "key": "b",
        "value": "1",
        "version": written["version"],
        "expires_at": None,
    }
    storage(root, "set", "c", "AAH/", "--base64")
    done = run_nitropy(root, "storage", "get", "c")
    assert (done.returncode, done.stdout, done.stderr) == (0, "AAH/\n", "The value is bytes, shown in base64.\n")
    assert json.loads(storage(root, "get", "c", "--json"))["base64"] == "AAH/"
    storage(root, "set", "--", "d", "-1")
    assert storage(root, "get", "d") == "-1\n"


def test_keys_are_listed_by_pages_and_cleared(tmp_path: Path) -> None:
    root = write_project(tmp_path)
    for key in ("user:1", "user:2", "user:3", "users:1"):
        storage(root, "set", key, "0")
    done = run_nitropy(root, "storage", "list", "user", "--limit", "2")
    assert (done.stdout, done.stderr) == ("user:1\nuser:2\n", "More follow: `--after user:2`.\n")
    assert storage(root, "list", "user", "--after", "user:2") == "user:3\n"
    assert json.loads(storage(root, "list", "--limit", "3", "--json")) == {
        "keys": ["user:1", "user:2", "user:3"],
        "next": "user:3",
    }
    assert json.loads(storage(root, "list", "user", "--json"))["next"] is None
    # It asks, and there is nothing to answer it.
    asked = run_nitropy(root, "storage", "clear", "user")
    assert asked.returncode != 0
    assert "Delete all keys below `user` of the storage `default` of `nitropy dev` (`sqlite`)?" in asked.stderr
    assert len(storage(root, "list").splitlines()) == 4
    assert storage(root, "clear", "user", "--yes") == "Deleted 3 keys.\n"
    assert storage(root, "list") == "users:1\n"
    assert json.loads(storage(root, "clear", "--yes", "--json")) == {"deleted": 1}


def test_preview_and_what_is_deployed_have_their_storage_at_the_broker(tmp_path: Path) -> None:
    with run_broker("redis") as broker:
        address = {"NITRO_STORAGE__DEFAULT__URL": broker.url}
        env_file = "".join(f"{name}={value}\n" for name, value in address.items())
        root = write_project(tmp_path / "app", '[storage.default]\ndriver = "redis"\n', **{".env": env_file})
        succeed(root, "build")
        with serve_project(root, "preview", "--port", "0") as server:
            assert httpx.get(f"{server.url}/count").json() == 1
            assert storage(root, "get", "hits") == "1\n"
            assert "of the preview (`redis`)" in storage(root, "set", "hits", "2")
            assert httpx.get(f"{server.url}/count").json() == 3
        assert storage(root, "get", "hits", "--preset", "container", **address) == "3\n"
        # What is deployed does not read the `.env` of this machine.
        error = fail(root, "storage", "get", "hits", "--preset", "container")
        assert "has no URL: expected `storage.default.url`, got nothing." in error
    error = fail(root, "storage", "get", "hits", "--preset", "container", environ=address)
    assert error.startswith("Redis: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("get", "a"), "The storage `default` of `nitropy dev` (`sqlite`) has no value of `a`.\n"),
        (("get", ""), "A key is empty or holds the character NUL"),
        (("set", "a", "{"), "The value is not JSON: "),
        (("set", "a", "!", "--base64"), "The value is not base64: "),
        (("set", "a", "1", "--text", "--base64"), "`--text` and `--base64` exclude each other."),
        (("set", "a", "1", "--ttl", "0"), "`ttl` is 0.0: expected seconds above 0"),
        (("get", "a", "--storage", "A-b"), "Wrong value for `--storage`: expected the name of a storage: "),
        (("get", "a", "--storage", "lost"), "The storage `lost` is in the memory of the process that serves"),
        (("get", "a", "--stack", "x"), "`--stack` means nothing without `--preset`.\n"),
        (("get", "a", "--preset", "asgi", "--stack", "x"), "`--stack` is an option of the preset `aws-lambda`"),
        (("get", "a", "--preset", "container"), "The storage `default` has no place: "),
    ],
)
def test_wrong_use_is_explained(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    root = write_project(tmp_path, '[storage.lost]\ndriver = "memory"\n')
    assert fail(root, "storage", *arguments).startswith(message)
