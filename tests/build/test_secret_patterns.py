"""Every pattern of what never travels, held against a name that no other pattern matches."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePosixPath

import pytest

from nitro_py.build.bundle import exclude
from nitro_py.build.bundle.exclude import find_secret, is_secret, looks_like_dump, travels

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
    "*.env.*": "backup.env.bak",
    "*.agekey": "a.agekey",
    "*.bks": "a.bks",
    "*.creds": "a.creds",
    "*.gpg": "a.gpg",
    "*.htpasswd": "site.htpasswd",
    "*.jceks": "a.jceks",
    "*.jks": "a.jks",
    "*.kdb": "a.kdb",
    "*.kdbx": "a.kdbx",
    "*.keystore": "a.keystore",
    "*.keytab": "a.keytab",
    "*.kubeconfig": "prod.kubeconfig",
    "*.ovpn": "a.ovpn",
    "*.p12": "a.p12",
    "*.p8": "a.p8",
    "*.pfx": "a.pfx",
    "*.pkcs12": "a.pkcs12",
    "*.pkcs8": "a.pkcs8",
    "*.ppk": "a.ppk",
    "*.tfstate*": "terraform.tfstate.backup",
    "*.tfvars": "prod.tfvars",
    "*.tfvars.json": "prod.tfvars.json",
    ".*history": ".bash_history",
    ".*token": ".vault-token",
    ".boto": ".boto",
    ".credentials*": ".credentials",
    ".databrickscfg": ".databrickscfg",
    ".dockercfg": ".dockercfg",
    ".dockerconfigjson": ".dockerconfigjson",
    ".ftpconfig": ".ftpconfig",
    ".git-credentials": ".git-credentials",
    ".msmtprc": ".msmtprc",
    ".my.cnf": ".my.cnf",
    ".mylogin.cnf": ".mylogin.cnf",
    ".netrc": ".netrc",
    ".npmrc": ".npmrc",
    ".passwd*": ".passwd-s3fs",
    ".password*": ".passwords",
    ".pgpass": ".pgpass",
    ".pypirc": ".pypirc",
    ".s3cfg": ".s3cfg",
    ".secret*": ".secrets",
    ".sentryclirc": ".sentryclirc",
    ".snowsql": ".snowsql",
    ".terraformrc": ".terraformrc",
    ".yarnrc*": ".yarnrc.yml",
    "_netrc": "_netrc",
    "htpasswd": "htpasswd",
    "krb5cc_*": "krb5cc_1000",
    "kubeconfig": "kubeconfig",
    "local.settings.json": "local.settings.json",
    "pgpass.conf": "pgpass.conf",
    "rclone.conf": "rclone.conf",
    "secring.*": "secring.gpg.bak",
    "sftp-config.json": "sftp-config.json",
    "terraform.rc": "terraform.rc",
    "wallet.dat": "wallet.dat",
}
SECRET_DATA = {
    "*kube.config": "prod-kube.config",
    "env.dev": "env.dev",
    "env.development": "env.development",
    "env.local": "env.local",
    "env.prod": "env.prod",
    "env.production": "env.production",
    "env.staging": "env.staging",
    "credentials*.*": "credentials-prod.json",
    "id_dsa*": "id_dsa.pub",
    "id_ecdsa*": "id_ecdsa",
    "id_ed25519*": "id_ed25519",
    "id_rsa*": "id_rsa.old",
    "secrets*.*": "secrets.toml",
}
SECRET_WORDS = {
    "*[-_.]keystore.*": "eth-keystore.json",
    "admin.conf": "admin.conf",
    "auth.json": "auth.json",
    "keystore.*": "keystore.json",
    "kube[-_]config.*": "kube-config.yaml",
    "oauth*.json": "oauth.json",
    "super-admin.conf": "super-admin.conf",
    "wg[0-9]*.conf": "wg0.conf",
    "*-adminsdk*.*": "app-firebase-adminsdk-x1.json",
    "*api[-_]key*.*": "api_key.txt",
    "*apikey*.*": "apikeys.yaml",
    "*[-_.]credential.*": "db-credential.json",
    "*[-_.]credentials.*": "application_default_credentials.json",
    "*[-_.]key.json": "gcp-key.json",
    "*[-_.]key.y*ml": "gcp-key.yaml",
    "*[-_.]password.*": "db-password.txt",
    "*[-_.]passwords.*": "db.passwords.csv",
    "*[-_.]secret.*": "db_secret.txt",
    "*[-_.]secrets.*": "application-secrets.yml",
    "*[-_.]token.*": "github-token.txt",
    "*private[-_.]key*.*": "private_key.der",
    "*privatekey*.*": "myprivatekey.txt",
    "*service[-_]account*.*": "my-service-account.json",
    "*serviceaccount*.*": "serviceaccount.json",
    "client[-_]secret*.*": "client_secret_1.apps.json",
    "credential.*": "credential.json",
    "key.json": "key.json",
    "keyfile.json": "keyfile.json",
    "kubeconfig.*": "kubeconfig.yaml",
    "passwd.*": "passwd.txt",
    "password.txt": "password.txt",
    "passwords.*": "passwords.csv",
    "secret.*": "secret.json",
    "secret[-_]*.*": "secret-santa.json",
    "token.*": "token.json",
}
SECRET_BARE = {
    "*kube[-_]config": "prod-kube_config",
    "*[-_.]credentials": "db-credentials",
    "*[-_.]password": "db_password",
    "*[-_.]secret": "db.secret",
    "*[-_.]secrets": "db_secrets",
    "*[-_.]token": "api-token",
    "*private[-_.]key": "private_key",
    "*privatekey": "privatekey",
    "credential": "credential",
    "credentials": "credentials",
    "passwd": "passwd",
    "password": "password",
    "passwords": "passwords",
    "secret": "secret",
    "secrets": "secrets",
    "token": "token",
}
DUMPS = {
    "*.bak": "a.bak",
    "*.db": "a.db",
    "*.dump": "a.dump",
    "*.har": "a.har",
    "*.log": "a.log",
    "*.mdb": "a.mdb",
    "*.old": "a.old",
    "*.orig": "a.orig",
    "*.rdb": "a.rdb",
    "*.sql": "a.sql",
    "*.sql.*": "a.sql.gz",
    "*.sqlite*": "a.sqlite3",
    "*backup*": "backup.zip",
    "*dump*.*": "dump-1.zip",
    "core.[0-9]*": "core.123",
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
SECRETS = SECRET_FOLDERS | SECRET_FILES | SECRET_DATA | SECRET_WORDS
# What each pattern of contents finds, in the order of the patterns; the keys are no keys.
CONTENTS = [
    b"x\n-----BEGIN PRIVATE KEY-----\n",
    b"key = AKIA" + 16 * b"A",
    b"aws_secret_access_key = " + 40 * b"a",
    b'{"type": "service_account"}',
    b'{"refresh_token": "12345678"}',
    b"ghp_" + 36 * b"a",
    b"glpat-" + 20 * b"a",
    b"xoxb-" + 10 * b"1",
    b"sk_live_" + 16 * b"a",
    b"AGE-SECRET-KEY-1ABC",
    b"PuTTY-User-Key-File-3: ssh-ed25519",
    b"client-key-data: aGVsbG8=",
    b'{"auths": {"a.example": {}}}',
    b"kind: Config\nusers: []",
    b"PrivateKey = " + 43 * b"a" + b"=",
    b'{"d": "AQAB", "n": "AQAB", "kty": "RSA"}',
    b"AIza" + 35 * b"a",
    b"_authToken=0123456789",
    b"npm_" + 36 * b"a",
]
DATA = [
    "bak",
    "cfg",
    "cnf",
    "conf",
    "csv",
    "dat",
    "db",
    "der",
    "enc",
    "gz",
    "ini",
    "json",
    "json5",
    "jsonc",
    "key",
    "old",
    "orig",
    "p7",
    "pickle",
    "pkl",
    "plist",
    "properties",
    "sqlite",
    "sqlite3",
    "swp",
    "toml",
    "txt",
    "xml",
    "yaml",
    "yml",
    "zip",
]


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


@pytest.mark.parametrize("path", (SECRET_DATA | SECRET_WORDS).values(), ids=SECRET_DATA | SECRET_WORDS)
def test_folder_of_code_may_be_named_like_secret_data(path: str) -> None:
    assert travels(PurePosixPath(path) / "a.txt")
    assert travels(PurePosixPath(path).with_suffix(".py"))


@pytest.mark.parametrize("suffix", DATA)
def test_word_makes_a_secret_of_each_kind_of_data(suffix: str) -> None:
    assert is_secret(PurePosixPath(f"db-password.{suffix}"))


@pytest.mark.parametrize("name", ["page.html", "password.css", "reset_password.html", "token.js", "secret.md"])
def test_word_makes_no_secret_of_other_files(name: str) -> None:
    assert travels(PurePosixPath(name))


@pytest.mark.parametrize("name", SECRET_BARE.values(), ids=SECRET_BARE)
def test_file_of_each_bare_name_is_a_secret_and_a_folder_is_none(name: str) -> None:
    assert find_secret(PurePosixPath(name), b"") is not None
    assert find_secret(PurePosixPath("deep") / name.upper(), b"") is not None
    assert find_secret(PurePosixPath(name) / "a.txt", b"") is None
    assert travels(PurePosixPath(name) / "a.txt")


@pytest.mark.parametrize("name", DUMPS.values(), ids=DUMPS)
def test_dump_of_each_pattern_is_noticed(name: str) -> None:
    assert looks_like_dump(PurePosixPath("files") / name.upper(), b"")


@pytest.mark.parametrize("data", CONTENTS, ids=lambda data: data[:12].decode().strip())
def test_content_of_each_pattern_is_found(data: bytes) -> None:
    assert find_secret(PurePosixPath("a.txt"), data) is not None
    assert find_secret(PurePosixPath("a.txt"), data[1:]) is None or data.startswith((b"x", b"key", b"{", b"a"))


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (SECRETS, {pattern: PurePosixPath(path).parts[0].lower() for pattern, path in SECRETS.items()}),
        (SECRET_BARE, SECRET_BARE),
        (DUMPS, DUMPS),
    ],
    ids=["secrets", "bare names", "dumps"],
)
def test_name_of_each_pattern_is_found_by_that_pattern_alone(
    patterns: dict[str, str], names: dict[str, str]
) -> None:
    """A name that two patterns match would not notice that one of them is gone."""
    for pattern, name in names.items():
        assert [other for other in patterns if fnmatchcase(name, other)] == [pattern]


def test_every_pattern_has_a_name_here() -> None:
    assert set(SECRET_FOLDERS) == exclude._SECRET_FOLDERS
    assert set(SECRET_FILES) == set(exclude._SECRET_FILES)
    assert set(SECRET_DATA) == set(exclude._SECRET_DATA)
    assert set(SECRET_WORDS) == set(exclude._SECRET_WORDS)
    assert set(SECRET_BARE) == set(exclude._SECRET_BARE)
    assert set(DUMPS) == set(exclude._DUMPS)
    assert set(RUBBISH) == set(exclude._RUBBISH)
    assert set(DATA) == exclude._DATA
    assert len(CONTENTS) == len(exclude._CONTENTS)
    for data, (pattern, _) in zip(CONTENTS, exclude._CONTENTS, strict=True):
        assert [other for other, _ in exclude._CONTENTS if exclude._search(other, data)] == [pattern]
