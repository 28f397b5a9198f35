"""Every pattern of what never travels, held against a name that no other pattern matches."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePosixPath

import pytest

from nitro_py.build.bundle.exclude import is_secret, travels

SECRET_FOLDERS = {
    ".aws": ".aws/config",
    ".azure": ".azure/profile",
    ".docker": ".docker/config.json",
    ".git": ".git/config",
    ".gnupg": ".gnupg/ring",
    ".hg": ".hg/store",
    ".kube": ".kube/config",
    ".ssh": ".ssh/config",
    ".svn": ".svn/entries",
    ".terraform": ".terraform/modules",
}
SECRET_FILES = {
    ".env*": ".envrc",
    "*.env": "prod.env",
    "*.p12": "a.p12",
    "*.pfx": "a.pfx",
    "*.jks": "a.jks",
    "*.kdbx": "a.kdbx",
    "*.keystore": "a.keystore",
    "*.ppk": "a.ppk",
    "*.tfstate*": "terraform.tfstate.backup",
    "*.tfvars": "prod.tfvars",
    ".boto": ".boto",
    ".dockercfg": ".dockercfg",
    ".git-credentials": ".git-credentials",
    ".htpasswd": ".htpasswd",
    ".netrc": ".netrc",
    ".npmrc": ".npmrc",
    ".pgpass": ".pgpass",
    ".pypirc": ".pypirc",
    "_netrc": "_netrc",
}
SECRET_DATA = {
    "credentials*.*": "credentials-prod.json",
    "id_dsa*": "id_dsa.pub",
    "id_ecdsa*": "id_ecdsa",
    "id_ed25519*": "id_ed25519",
    "id_rsa*": "id_rsa.old",
    "secrets*.*": "secrets.toml",
}
RUBBISH = {
    "__pycache__": "__pycache__/a.txt",
    "*.pyc": "a.pyc",
    "*.pyo": "a.pyo",
    "*.egg-info": "shop.egg-info/PKG-INFO",
    "*.swp": ".a.py.swp",
    "*~": "a.py~",
    ".DS_Store": ".DS_Store",
    ".cache": ".cache/a",
    ".coverage*": ".coverage.host",
    ".eggs": ".eggs/a",
    ".hypothesis": ".hypothesis/a",
    ".idea": ".idea/a.xml",
    ".ipynb_checkpoints": ".ipynb_checkpoints/a.ipynb",
    ".mypy_cache": ".mypy_cache/a.json",
    ".nitro": ".nitro/a",
    ".nox": ".nox/a",
    ".output": ".output/nitro.json",
    ".pytest_cache": ".pytest_cache/a",
    ".ruff_cache": ".ruff_cache/a",
    ".tox": ".tox/a",
    ".venv": ".venv/bin/python",
    ".vscode": ".vscode/settings.json",
    "Thumbs.db": "Thumbs.db",
    "desktop.ini": "desktop.ini",
    "node_modules": "node_modules/a.js",
    "venv": "venv/bin/python",
}
SECRETS = SECRET_FOLDERS | SECRET_FILES | SECRET_DATA


@pytest.mark.parametrize("path", SECRETS.values(), ids=SECRETS)
def test_secret_of_each_pattern_stays(path: str) -> None:
    for relative in (PurePosixPath(path), PurePosixPath("handlers") / path, PurePosixPath(path.upper())):
        assert is_secret(relative), relative
        assert not travels(relative)


@pytest.mark.parametrize("path", RUBBISH.values(), ids=RUBBISH)
def test_rubbish_of_each_pattern_stays(path: str) -> None:
    for relative in (PurePosixPath(path), PurePosixPath("shop") / path):
        assert not is_secret(relative), relative
        assert not travels(relative), relative


@pytest.mark.parametrize("path", SECRET_FILES.values(), ids=SECRET_FILES)
def test_folder_named_like_a_secret_stays_with_all_that_is_in_it(path: str) -> None:
    assert is_secret(PurePosixPath(path) / "a.py")


@pytest.mark.parametrize("path", SECRET_DATA.values(), ids=SECRET_DATA)
def test_folder_of_code_may_be_named_like_secret_data(path: str) -> None:
    assert travels(PurePosixPath(path) / "a.txt")
    assert travels(PurePosixPath(path).with_suffix(".py"))


def test_name_of_each_pattern_is_found_by_that_pattern_alone() -> None:
    """A name that two patterns match would not notice that one of them is gone."""
    names = {pattern: PurePosixPath(path).parts[0].lower() for pattern, path in SECRETS.items()}
    for pattern, name in names.items():
        assert [other for other in SECRETS if fnmatchcase(name, other)] == [pattern]
