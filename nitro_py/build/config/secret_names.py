"""The names of secrets: what the tools neither show nor let a bundle hold."""

from __future__ import annotations

import re

# What stands in the place of a secret.
MASK = "***"
# A name, or a part of one between separators; for patterns that look for names in a text.
SECRET_NAME = (
    r"pass(?:wd|word|phrase|code)?|pwd|secrets?|tokens?|(?:api|access|private|secret|signing|encryption)[-_]?keys?"
    r"|keys?|auth(?:orization)?|credentials?|cookies?|sessions?|session[-_]?id|signature|jwt|csrf|otp|pin|dsn"
)
_PART = re.compile(rf"(?:^|[-_.\s])(?:{SECRET_NAME})(?:$|[-_.\s\d])")
_CERTAIN = re.compile(r"secret|password|passwd|token|apikey|privatekey|credential")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def names_secret(name: str) -> bool:
    """Return whether a name is that of a secret, or may be.

    Example:
        >>> [names_secret(name) for name in ("api_key", "X-Auth-Token", "userPassword", "monkey", "author")]
        [True, True, True, False, False]
    """
    return surely_names_secret(name) or _PART.search(_HUMP.sub("_", name).lower()) is not None


def surely_names_secret(name: str) -> bool:
    """Return whether a name is that of a secret and of nothing else.

    Example:
        >>> surely_names_secret("api_key"), surely_names_secret("cache_key")
        (True, False)
    """
    return _CERTAIN.search(re.sub(r"[-_]", "", name.lower())) is not None
