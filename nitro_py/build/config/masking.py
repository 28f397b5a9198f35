"""Hiding the secrets in values of settings, for reports and errors."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pydantic import JsonValue

from nitro_py.build.bundle.exclude import find_secret
from nitro_py.build.config.secret_names import MASK, names_secret

_USER_INFO = re.compile(r"(?<=://)\S*@")
_QUERY_SECRET = re.compile(r"([?&][^=&#]*(?:pass|token|secret|key)[^=&#]*=)[^&#]+", re.IGNORECASE)


def mask(value: JsonValue, name: str = "") -> JsonValue:
    """Replace the secrets in a value.

    Args:
        value: The value.
        name: Its name, which may be that of a secret.

    Example:
        >>> mask("redis://me:pw@host/0"), mask("abc", "api_token")
        ('redis://***@host/0', '***')
    """
    if isinstance(value, dict):
        return {key: mask(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [mask(item, name) for item in value]
    if not isinstance(value, str) or not value:
        return value
    if names_secret(name) or find_secret(PurePosixPath("value"), value.encode(errors="replace")):
        return MASK
    return _QUERY_SECRET.sub(rf"\1{MASK}", _USER_INFO.sub(f"{MASK}@", value))
