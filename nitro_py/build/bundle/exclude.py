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
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.kdbx",
    "*.keystore",
    "*.ppk",
    "*.tfstate*",
    "*.tfvars",
    ".boto",
    ".dockercfg",
    ".git-credentials",
    ".htpasswd",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    "_netrc",
)
# Modules and packages may have such names: `credentials.py` is code, `credentials/` a folder of it.
_SECRET_DATA = ("credentials*.*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "id_rsa*", "secrets*.*")
_CODE = (".py", ".pyi")
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
    """Return whether a path looks like a secret, or lies in a folder that holds some.

    Args:
        relative: The path, relative to the project.

    Example:
        >>> is_secret(PurePosixPath("handlers/.env.local")), is_secret(PurePosixPath("shop/credentials.py"))
        (True, False)
    """
    names = [part.lower() for part in relative.parts]
    if any(name in _SECRET_FOLDERS or _matches(name, _SECRET_FILES) for name in names):
        return True
    return bool(names) and not names[-1].endswith(_CODE) and _matches(names[-1], _SECRET_DATA)


def travels(relative: PurePosixPath) -> bool:
    """Return whether a file or folder may go into a bundle.

    Args:
        relative: The path, relative to the project.

    Example:
        >>> travels(PurePosixPath("shop/prices.json")), travels(PurePosixPath("shop/__pycache__/a.pyc"))
        (True, False)
    """
    return not is_secret(relative) and not any(_matches(part, _RUBBISH) for part in relative.parts)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return _compile(patterns).match(name) is not None


@cache
def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    # Each name of a project is held against all of them.
    return re.compile("|".join(map(translate, patterns)))
