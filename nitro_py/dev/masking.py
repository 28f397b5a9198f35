"""What the dev server does not show: values with the names of secrets, and these values wherever they appear."""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

from nitro_py.build.config.secret_names import SECRET_NAME, names_secret

MASK = "••••••"
# Shorter values appear by chance in other texts.
MIN_SECRET = 6
# The longest text that is looked through.
MAX_TEXT = 20_000

# `password='x'`, `'api_key': 'x'` and `('authorization', 'x')` in the repr of another value.
_ASSIGNED = re.compile(
    rf"(?P<name>\b(?:[\w-]*[-_])?(?:{SECRET_NAME}))(?P<between>(?:b?['\"])?\s*[:=,]\s*b?)"
    r"(?P<value>'(?:[^'\\]|\\.)*'?|\"(?:[^\"\\]|\\.)*\"?)",
    re.IGNORECASE,
)
_IN_QUERY = re.compile(rf"(?P<name>[?&](?:[\w-]*[-_])?(?:{SECRET_NAME})=)[^\s&#'\"]+", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://[^\s/:@'\"]*:)[^\s/@'\"]+(?=@)", re.IGNORECASE)


class SecretMask:
    """A mask for the secrets of one report.

    Args:
        named: Values by name, whose secrets must not appear in any text.
    """

    def __init__(self, named: Iterable[tuple[str, str]]) -> None:
        values: set[str] = set()
        for name, value in named:
            # `PWD` and `PASSWORD_STORE_DIR` name folders, which are in the path of every frame.
            if names_secret(name) and not _is_path(value):
                # Code sees what follows the scheme of `Authorization`, too.
                values |= {value, *value.split()[1:]}
        known = sorted((value for value in values if len(value) >= MIN_SECRET), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def mask(self, text: str) -> str:
        """Return a text without the secrets that are known or that it names itself."""
        text = text[:MAX_TEXT]
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = _URL_PASSWORD.sub(rf"\g<before>{MASK}", text)
        text = _IN_QUERY.sub(rf"\g<name>{MASK}", text)
        return _ASSIGNED.sub(rf"\g<name>\g<between>'{MASK}'", text)

    def show(self, name: str, value: str) -> str:
        """Return a value as it may be shown beside its name."""
        return MASK if names_secret(name) else self.mask(value)

    def show_all(self, pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Return pairs of name and value as they may be shown."""
        return tuple((name, self.show(name, value)) for name, value in pairs)


def _is_path(value: str) -> bool:
    return os.path.isabs(value) and os.path.exists(value)


class MaskedRepr(reprlib.Repr):
    """Representations of values that are bounded in size, and show no secrets.

    Args:
        mask: The mask.
    """

    def __init__(self, mask: SecretMask) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = 20
        self.maxstring = 300
        self.maxother = 300
        self._mask = mask

    def describe(self, values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """Return variables with what is shown of their values."""
        return tuple(
            (name, MASK if names_secret(name) else self._describe(value)) for name, value in values.items()
        )

    def repr_str(self, x: str, level: int) -> str:
        """Return the representation of text."""
        # Masked before it is cut: a part of a secret is not found any more.
        return super().repr_str(self._mask.mask(x), level)

    def repr_instance(self, x: object, level: int) -> str:
        """Return the representation of any other object."""
        try:
            text = self._mask.mask(repr(x))
        except Exception as error:
            return f"<{type(x).__name__} whose repr raised {type(error).__name__}>"
        return text if len(text) <= self.maxother else f"{text[: self.maxother]}…"

    def _describe(self, value: object) -> str:
        try:
            return self._mask.mask(self.repr(value))
        except Exception as error:
            return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
