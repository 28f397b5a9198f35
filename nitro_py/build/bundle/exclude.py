"""What never goes into a bundle: secrets, and what tools leave behind."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import cache
from pathlib import PurePosixPath

# Version control is here and not below: a history holds secrets that were deleted long ago.
_SECRET_FOLDERS = frozenset(
    {".aws", ".azure", ".docker", ".git", ".gnupg", ".hg", ".kube", ".ssh", ".svn", ".terraform"}
)
_SECRET_FILES = (
    ".env*",
    "*.env",
    "*.env.*",
    "*.agekey",
    "*.bks",
    "*.creds",
    "*.gpg",
    "*.htpasswd",
    "*.jceks",
    "*.jks",
    "*.kdb",
    "*.kdbx",
    "*.keystore",
    "*.keytab",
    "*.kubeconfig",
    "*.ovpn",
    "*.p12",
    "*.p8",
    "*.pfx",
    "*.pkcs12",
    "*.pkcs8",
    "*.ppk",
    "*.tfstate*",
    "*.tfvars",
    "*.tfvars.json",
    ".*history",
    ".*token",
    ".boto",
    ".credentials*",
    ".databrickscfg",
    ".dockercfg",
    ".dockerconfigjson",
    ".ftpconfig",
    ".git-credentials",
    ".msmtprc",
    ".my.cnf",
    ".mylogin.cnf",
    ".netrc",
    ".npmrc",
    ".passwd*",
    ".password*",
    ".pgpass",
    ".pypirc",
    ".s3cfg",
    ".secret*",
    ".sentryclirc",
    ".snowsql",
    ".terraformrc",
    ".yarnrc*",
    "_netrc",
    "htpasswd",
    "krb5cc_*",
    "kubeconfig",
    "local.settings.json",
    "pgpass.conf",
    "rclone.conf",
    "secring.*",
    "sftp-config.json",
    "terraform.rc",
    "wallet.dat",
)
# Modules and packages may have such names: `credentials.py` is code, `credentials/` a folder of it.
_SECRET_DATA = (
    "*kube.config",
    "credentials*.*",
    "env.dev",
    "env.development",
    "env.local",
    "env.prod",
    "env.production",
    "env.staging",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "id_rsa*",
    "secrets*.*",
)
_CODE = (".py", ".pyi")
# These are secrets only in files that hold nothing but data: `reset_password.html` is a page.
_SECRET_WORDS = (
    "*-adminsdk*.*",
    "*api[-_]key*.*",
    "*apikey*.*",
    "*[-_.]credential.*",
    "*[-_.]credentials.*",
    "*[-_.]key.json",
    "*[-_.]keystore.*",
    "*[-_.]key.y*ml",
    "*[-_.]password.*",
    "*[-_.]passwords.*",
    "*[-_.]secret.*",
    "*[-_.]secrets.*",
    "*[-_.]token.*",
    "*private[-_.]key*.*",
    "*privatekey*.*",
    "*service[-_]account*.*",
    "*serviceaccount*.*",
    "admin.conf",
    "auth.json",
    "client[-_]secret*.*",
    "credential.*",
    "key.json",
    "keyfile.json",
    "keystore.*",
    "kube[-_]config.*",
    "kubeconfig.*",
    "oauth*.json",
    "passwd.*",
    "password.txt",
    "passwords.*",
    "secret.*",
    "secret[-_]*.*",
    "super-admin.conf",
    "token.*",
    "wg[0-9]*.conf",
)
_DATA = frozenset(
    {"bak", "cfg", "cnf", "conf", "csv", "dat", "db", "der", "enc", "gz", "ini", "json", "json5", "jsonc", "key"}
    | {"old", "orig", "p7", "pickle", "pkl", "plist", "properties", "sqlite", "sqlite3", "swp", "toml", "txt"}
    | {"xml", "yaml", "yml", "zip"}
)
# A folder may have these names.
_SECRET_BARE = (
    "*[-_.]credentials",
    "*[-_.]password",
    "*[-_.]secret",
    "*[-_.]secrets",
    "*[-_.]token",
    "*private[-_.]key",
    "*privatekey",
    "*kube[-_]config",
    "credential",
    "credentials",
    "passwd",
    "password",
    "passwords",
    "secret",
    "secrets",
    "token",
)
# Keys and certificates: what is in them says whether they are public.
_KEY_SUFFIXES = (".cer", ".crt", ".der", ".key", ".pem")
_PUBLIC_PEM = re.compile(rb"-----BEGIN (?:[A-Z0-9 ]+ )?(?:CERTIFICATE|PUBLIC KEY|CRL|PKCS7|DH PARAMETERS)")
# Members of a JSON Web Key that only a private or a shared one has (RFC 7518, section 6), in either order.
_PRIVATE_JWK = rb'"kty"\s*:[^{}]*"[dk]"\s*:\s*"[\w-]|"[dk]"\s*:\s*"[\w-]+"[^{}]*"kty"\s*:'
_GOOGLE_KEY = rb"\bAIza[A-Za-z0-9_-]{35}"
# Browsers get such keys by design, for maps as an example.
_PAGES = (".css", ".htm", ".html", ".js", ".map", ".mjs")
# What a secret looks like inside a file, and what it is called.
_CONTENTS = (
    (rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----", "a private key"),
    (rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", "an access key of AWS"),
    (rb"(?i)secret_?access_?key[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{20}", "an access key of AWS"),
    (rb'"type"\s*:\s*"service_account"', "the key of a service account"),
    (rb'"(?:client_secret|private_key|refresh_token)"\s*:\s*"[^"]{8}', "a secret in JSON"),
    (rb"\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{22}", "a token of GitHub"),
    (rb"\bglpat-[A-Za-z0-9_-]{20}", "a token of GitLab"),
    (rb"\b(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10}", "a token of Slack"),
    (rb"\b[rs]k_live_[A-Za-z0-9]{16}", "a key of Stripe"),
    (rb"\bAGE-SECRET-KEY-1", "a private key"),
    (rb"^PuTTY-User-Key-File", "a private key"),
    (rb"\bclient-key-data\s*:", "the key of a Kubernetes client"),
    (rb'"auths"\s*:\s*\{', "the passwords of registries"),
    (rb"^kind:[ \t]*[\"']?Config\b", "the configuration of a Kubernetes client"),
    (rb"^PrivateKey[ \t]*=[ \t]*[A-Za-z0-9+/]{42}", "a private key"),
    (_PRIVATE_JWK, "a private key"),
    (_GOOGLE_KEY, "an API key of Google"),
    (rb"\b_(?:authToken|auth|password)[ \t]*=[ \t]*[\"']?[A-Za-z0-9+/=_-]{8}", "the token of an index"),
    (rb"\b(?:npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{16})", "the token of an index"),
)
# How much of a file is looked at, in bytes: what is larger is a model or a film.
_LOOKED_AT = 4 * 1024 * 1024
# The length and the version of a private key (RFC 5208, RFC 8017, RFC 5915); a certificate begins in another way.
_PRIVATE_DER = re.compile(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..)\x02\x01[\x00\x01]", re.DOTALL)
_DUMPS = (
    "*.bak",
    "*.db",
    "*.dump",
    "*.har",
    "*.log",
    "*.mdb",
    "*.old",
    "*.orig",
    "*.rdb",
    "*.sql",
    "*.sql.*",
    "*.sqlite*",
    "*backup*",
    "*dump*.*",
    "core.[0-9]*",
)
_BACKUPS = ("*.bak", "*.dump", "*.har", "*.rdb", "*backup*.*", "*dump*.*", "core.[0-9]*")
_DUMP_CONTENTS = (
    b"SQLite format 3\0",
    b"PGDMP",
    b"-- MySQL dump",
    b"-- MariaDB dump",
    b"-- PostgreSQL database dump",
)
_RUBBISH = (
    "__pycache__",
    "*.pyc",
    "*.pyo",
    "*.egg-info",
    "*.swp",
    "*~",
    ".DS_Store",
    ".cache",
    ".coverage*",
    ".eggs",
    ".hypothesis",
    ".idea",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nitro",
    ".nox",
    ".output",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".venv",
    ".vscode",
    "Thumbs.db",
    "desktop.ini",
    "node_modules",
    "venv",
)


def is_secret(relative: PurePosixPath) -> bool:
    """Return whether a path looks like a secret by its name, or lies in a folder that holds some.

    Args:
        relative: The path, relative to the project.

    Example:
        >>> is_secret(PurePosixPath("handlers/.env.local")), is_secret(PurePosixPath("shop/credentials.py"))
        (True, False)
    """
    names = [part.lower() for part in relative.parts]
    if any(name in _SECRET_FOLDERS or _matches(name, _SECRET_FILES) for name in names):
        return True
    if not names or names[-1].endswith(_CODE):
        return False
    return _matches(names[-1], _SECRET_DATA) or (_is_data(names[-1]) and _matches(names[-1], _SECRET_WORDS))


def is_history(relative: PurePosixPath) -> bool:
    """Return whether a path is version control's, which no one expects to travel."""
    return any(part in (".git", ".hg", ".svn") for part in relative.parts)


def find_secret(relative: PurePosixPath, data: bytes) -> str | None:
    """Say which secret a file holds, by its content or by a name that only a folder may have; `None` if none.

    Args:
        relative: The file, relative to the project.
        data: Its bytes.

    Example:
        >>> find_secret(PurePosixPath("a.pem"), b"-----BEGIN RSA PRIVATE KEY-----")
        'a private key'
        >>> find_secret(PurePosixPath("a.pem"), b"-----BEGIN CERTIFICATE-----") is None
        True
    """
    if _matches(relative.name.lower(), _SECRET_BARE):
        return "a secret, by its name"
    data = _narrow(data)
    start = data[:_LOOKED_AT]
    is_page = relative.name.lower().endswith(_PAGES)
    for pattern, what in _CONTENTS:
        if _search(pattern, start) and not (is_page and pattern == _GOOGLE_KEY):
            return what
    if not relative.name.lower().endswith(_KEY_SUFFIXES) or _PUBLIC_PEM.search(data):
        return None
    if _PRIVATE_DER.match(data):
        return "a private key"
    # A certificate in the binary form begins with two sequences; what else is named like a key may be one.
    return None if data[:1] == b"\x30" else "what may be a private key"


def looks_like_dump(relative: PurePosixPath, data: bytes, *, served: bool = True) -> bool:
    """Return whether a file looks like a database, a backup or a log, which are not meant for visitors.

    Args:
        relative: The file.
        data: Its bytes.
        served: Whether visitors get it; for the app's own code, SQL and databases are ordinary files.

    Example:
        >>> looks_like_dump(PurePosixPath("files/shop.sql.gz"), b"")
        True
    """
    name = relative.name.lower()
    if not served:
        if name.endswith(_CODE):
            return False
        return _matches(name, _BACKUPS) or any(start in data[:200] for start in _DUMP_CONTENTS[1:])
    return _matches(name, _DUMPS) or any(start in data[:200] for start in _DUMP_CONTENTS)


def travels(relative: PurePosixPath) -> bool:
    """Return whether a file or folder may go into a bundle.

    Args:
        relative: The path, relative to the project.

    Example:
        >>> travels(PurePosixPath("shop/prices.json")), travels(PurePosixPath("shop/__pycache__/a.pyc"))
        (True, False)
    """
    return not is_secret(relative) and not any(_matches(part, _RUBBISH) for part in relative.parts)


def _is_data(name: str) -> bool:
    return name.rpartition(".")[2] in _DATA


def _narrow(data: bytes) -> bytes:
    """Return text in UTF-16, as shells of Windows write it, with a byte for each ASCII character."""
    begin = data[2:34]
    is_wide = len(begin) >= 16 and (not any(begin[::2]) or not any(begin[1::2])) and any(begin)
    return data[: 2 * _LOOKED_AT].replace(b"\0", b"").lstrip(b"\xff\xfe") if is_wide else data


@cache
def _compile_content(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.MULTILINE)


def _search(pattern: bytes, data: bytes) -> bool:
    return _compile_content(pattern).search(data) is not None


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return _compile(patterns).match(name) is not None


@cache
def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    # Each name of a project is held against all of them.
    return re.compile("|".join(map(translate, patterns)))
