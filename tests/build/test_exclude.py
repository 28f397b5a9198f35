from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from nitro_py.build.bundle.exclude import is_secret, travels

SECRETS = [
    ".env",
    ".ENV",
    "handlers/.env.local",
    ".envrc",
    "prod.env",
    "certs/server.pem",
    "certs/SERVER.KEY",
    "id_rsa",
    "id_rsa.pub",
    "id_ed25519",
    "a.p12",
    "a.pfx",
    ".git/config",
    ".hg/store",
    ".svn/entries",
    ".aws/credentials",
    ".ssh/config",
    "credentials.json",
    "credentials-prod.json",
    "shop/secrets.toml",
    ".netrc",
    ".npmrc",
    ".pypirc",
    "terraform.tfstate.backup",
]
RUBBISH = [
    "shop/__pycache__/a.cpython-311.pyc",
    "a.pyc",
    ".venv/bin/python",
    "web/node_modules/x/index.js",
    ".DS_Store",
    ".output/nitro.json",
    "shop.egg-info/PKG-INFO",
    ".mypy_cache/a.json",
    ".pytest_cache/x",
    "a.py~",
]
TRAVELS = [
    "shop/a.py",
    "shop/credentials.py",
    "shop/credentials/__init__.py",
    "shop/secrets.py",
    "shop/secrets/__init__.py",
    "shop/environment.py",
    "shop/keys.py",
    "shop/key/a.json",
    "templates/a.html",
    "shop/py.typed",
    "handlers/[id].get.py",
]


@pytest.mark.parametrize("path", SECRETS)
def test_secret_never_travels(path: str) -> None:
    assert is_secret(PurePosixPath(path))
    assert not travels(PurePosixPath(path))


@pytest.mark.parametrize("path", RUBBISH)
def test_rubbish_is_no_secret_and_stays(path: str) -> None:
    assert not is_secret(PurePosixPath(path))
    assert not travels(PurePosixPath(path))


@pytest.mark.parametrize("path", TRAVELS)
def test_code_and_data_travel(path: str) -> None:
    assert travels(PurePosixPath(path))
    for parent in PurePosixPath(path).parents:
        assert travels(parent)
