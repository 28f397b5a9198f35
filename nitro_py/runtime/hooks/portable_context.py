"""A peer's context in development, which refuses values that only this process could keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class PortableContext(dict[str, Any]):
    """A dict that takes only values with a JSON form; changes inside a value are not checked.

    Args:
        values: The first content.

    Raises:
        TypeError: A value has no JSON form, or a key is not text.

    Example:
        >>> PortableContext({"name": "ada"})["name"]
        'ada'
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self.update(values)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"`peer.context` takes text as keys: expected a `str`, got `{key!r}`.")
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"`peer.context[{key!r}]` cannot be kept by targets that keep it as JSON: {error}."
            ) from None
        super().__setitem__(key, value)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, set to the default if it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *others: Any, **values: Any) -> None:
        """Set several keys."""
        for key, value in dict(*others, **values).items():
            self[key] = value

    def __ior__(self, other: Any) -> PortableContext:  # type: ignore[override, misc]
        self.update(other)
        return self
