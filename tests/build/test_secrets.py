"""Secrets stay at home and are listed; files that `include` names travel."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.pipeline import Plan
from tests.bundles import plan_project, write_files

HANDLER = "import shop\nfrom nitro_py import define_handler\n@define_handler\ndef handler(event): ...\n"
KEY = "-----BEGIN PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"


def plan(root: Path, files: dict[str, str], include: str = "[]", name: str = "project") -> Plan:
    """Plan the build of a project with some files in a package and beside it."""
    settings = f"include = {include}\n"
    texts = {"handlers/a.py": HANDLER, "shop/__init__.py": "", "nitro.toml": settings, **files}
    return plan_project(write_files(root / name, texts))


def files_of(found: Plan) -> set[str]:
    """Return the paths of a bundle, below its folder."""
    return {path.removeprefix("server/") for path in found.bundle.files}


def test_secrets_stay_at_home_and_are_listed(tmp_path: Path) -> None:
    secrets = {
        "shop/token.json": "{}",
        "shop/settings.json": '{"type": "service_account"}',
        "shop/tls.pem": KEY,
        "shop/credentials": "",
        "shop/auth.json": "{}",
        "shop/token.pickle": "",
        "shop/env.local": "",
        "data/wg0.conf": "",
        "data/kubeconfig": "",
        "data/notes.txt": "AKIAIOSFODNN7EXAMPLE",
    }
    found = plan(tmp_path, {**secrets, "shop/ca.pem": CERTIFICATE, "data/a.json": "{}"}, '["data/**"]')
    assert not files_of(found) & {*secrets}
    assert {"shop/ca.pem", "data/a.json"} <= files_of(found)
    (note,) = [note for note in found.notes if note.startswith("Left out")]
    for path in secrets:
        assert f"`{path}` (" in note
    assert "shop/ca.pem" not in note


@pytest.mark.parametrize("path", ["shop/token.json", "shop/tls.pem", "certs/server.key", ".env", ".aws/config"])
def test_file_that_is_named_travels(tmp_path: Path, path: str) -> None:
    found = plan(tmp_path, {path: KEY}, f'["{path}"]')
    assert path in files_of(found)
    assert not [note for note in found.notes if note.startswith("Left out")]


def test_code_that_looks_like_a_secret_travels_and_is_listed(tmp_path: Path) -> None:
    found = plan(tmp_path, {"shop/keys.py": "KEY = 'AKIAIOSFODNN7EXAMPLE'\n"})
    assert "shop/keys.py" in files_of(found)
    assert any("although they look like secrets: `shop/keys.py`" in note for note in found.notes)


def test_dump_in_a_package_travels_and_is_listed(tmp_path: Path) -> None:
    ordinary = {"shop/schema.sql": "", "shop/pg_dump.py": "", "shop/a.log": ""}
    named = {"data/backup.zip": ""}
    dumps = {"shop/dump.sql": "", "shop/all.sql": "-- PostgreSQL database dump\n"}
    found = plan(tmp_path, {**ordinary, **named, **dumps}, '["data/backup.zip"]')
    assert {*ordinary, *named, *dumps} <= files_of(found)
    (note,) = [note for note in found.notes if note.startswith("In the bundle")]
    assert note == "In the bundle, and looks like a dump, a backup or a log: `shop/all.sql`, `shop/dump.sql`"


def test_public_files(tmp_path: Path) -> None:
    served = {
        "public/index.html": "<p>",
        "public/.well-known/security.txt": "",
        "public/shop.sql": "",
        "public/ca.pem": CERTIFICATE,
    }
    hidden = {
        "public/.htaccess": "",
        "public/a/.hidden/b.txt": "",
        "public/token.json": "{}",
        "public/tls.pem": KEY,
    }
    found = plan(tmp_path, {**served, **hidden})
    assert {path.removeprefix("public") for path in served} == set(found.manifest.public)
    left, dumps = found.notes[-2:]
    assert all(f"`{path}`" in left for path in hidden if ".hidden" not in path)
    assert "`public/a/.hidden` (by its name)" in left
    assert dumps == "Served to everybody, and looks like a database, a backup or a log: `public/shop.sql`"
    found = plan(tmp_path, hidden, '["public/.htaccess"]', "other")
    assert found.manifest.public.keys() == {"/.htaccess"}
