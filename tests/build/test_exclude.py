from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from nitro_py.build.bundle.exclude import find_secret, is_secret, looks_like_dump, travels

SECRETS = [
    ".env",
    ".ENV",
    "handlers/.env.local",
    ".envrc",
    "prod.env",
    "service-account.json",
    "secret.json",
    "token.json",
    ".bash_history",
    ".vault-token",
    ".dockerconfigjson",
    ".s3cfg",
    ".my.cnf",
    "kubeconfig",
    "htpasswd",
    "gcp-key.json",
    "private_key.der",
    "x.pkcs12",
    "backup.env.bak",
    "application-secrets.yml",
    "client_secret.json",
    "client_secret_1.apps.json",
    "deploy/prod-kubeconfig.kubeconfig",
    ".zsh_history",
    "github-token.txt",
    "db-password.txt",
    "application_default_credentials.json",
    "app-firebase-adminsdk-x1.json",
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
    "templates/reset_password.html",
    "static/token.js",
    "models/tokenizer.json",
    "models/special_tokens_map.json",
    "locale/secretary.json",
    "certs/server.pem",
    "data/monkey.json",
    "docs/password.md",
    "shop/auth.py",
    "shop/env.py",
    "shop/kube_config/__init__.py",
    "shop/config.json",
    "shop/environment.json",
    "models/tokenizer.pickle",
    "locale/author.json",
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


DER = b"\x30\x82\x01\x0a"


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("a.pem", b"-----BEGIN PRIVATE KEY-----\n"),
        ("a.txt", b"text\n-----BEGIN RSA PRIVATE KEY-----\n"),
        ("chain.pem", b"-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n"),
        ("a", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"),
        ("a.asc", b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n"),
        ("credentials", b""),
        ("secrets/secret", b""),
        ("secrets/db_password", b""),
        ("a.key", b"\x01\x02"),
        ("a.key", b""),
        ("a.der", DER + b"\x02\x01\x00\x30"),
        ("a.der", b"\x30\x77\x02\x01\x01\x04"),
        ("notes.txt", b"key: AKIAIOSFODNN7EXAMPLE\n"),
        ("a.json", b'{"type": "service_account", "project_id": "x"}'),
        ("a.json", b'{"type":"service_account"}'),
        ("a.json", b'{"installed": {"client_secret": "GOCSPX-abcdef"}}'),
        ("config", b"clusters:\n- x\nusers:\n  client-key-data: aGVsbG8=\n"),
        ("config.json", b'{"auths": {"registry.example": {"auth": "eA=="}}}'),
        ("a.pem", "-----BEGIN PRIVATE KEY-----\r\n".encode("utf-16")),
        ("a.txt", "-----BEGIN RSA PRIVATE KEY-----\n".encode("utf-16-le")),
        ("a.txt", "-----BEGIN RSA PRIVATE KEY-----\n".encode("utf-16-be")),
        ("a.jwk", b'{"kty": "EC", "crv": "P-256", "x": "abc", "d": "def"}'),
        ("jwks.json", b'{"keys": [{"d": "def", "crv": "P-256", "kty": "EC"}]}'),
        ("a.json", b'{"kty": "oct", "k": "abc"}'),
        ("a.txt", b"//registry.example/:_authToken=0f1e2d3c4b5a"),
        ("a.sh", b"export AWS_SECRET_ACCESS_KEY=" + 40 * b"a"),
        ("a.json", b'{"SecretAccessKey": "' + 40 * b"a" + b'"}'),
        ("a.txt", b"xapp-1-A0123456789"),
        ("google-services.json", b'{"current_key": "AIza' + 35 * b"a" + b'"}'),
    ],
)
def test_content_that_is_a_secret(file: str, data: bytes) -> None:
    assert find_secret(PurePosixPath(file), data) is not None


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("a.pem", b"-----BEGIN CERTIFICATE-----\n"),
        ("a.pem", b"-----BEGIN PUBLIC KEY-----\n"),
        ("a.key", b"-----BEGIN RSA PUBLIC KEY-----\n"),
        ("a.crt", DER + b"\x30\x82"),
        ("a.der", DER + b"\x30\x82"),
        ("a.json", b'{"type": "account"}'),
        ("a.txt", b"NAKIAIOSFODNN7EXAMPLE"),
        ("a.html", b"<p>a private key</p>"),
        ("a.pem", "-----BEGIN CERTIFICATE-----\r\n".encode("utf-16")),
        ("jwks.json", b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "abc", "y": "def"}]}'),
        ("config.json", b'{"debug": true, "d": "x"}'),
        ("a.txt", b"_authToken=${NPM_TOKEN}"),
        ("a.sh", b'export AWS_SECRET_ACCESS_KEY="$FROM_VAULT"'),
        ("map.js", b'const key = "AIza' + 35 * b"a" + b'"'),
    ],
)
def test_content_that_is_none(file: str, data: bytes) -> None:
    assert find_secret(PurePosixPath(file), data) is None


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("shop.sql", b""),
        ("shop.sql.gz", b""),
        ("a.bin", b"SQLite format 3\0..."),
        ("db-backup.zip", b""),
        ("a.log", b""),
    ],
)
def test_dump(file: str, data: bytes) -> None:
    assert looks_like_dump(PurePosixPath(file), data)


@pytest.mark.parametrize("file", ["index.html", "app.js", "data.json", "archive.zip"])
def test_no_dump(file: str) -> None:
    assert not looks_like_dump(PurePosixPath(file), b"<html>")
