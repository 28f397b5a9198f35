"""A peer's context in development: what only this process could keep is refused where it is set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class PortableContext(dict[str, Any]):
    """A context that takes only what every target can keep; what is inside of a value is seen as it is set.

    Args:
        values: What it starts with.

    Raises:
        TypeError: A value has no JSON form, or a key is no text.

    Example:
        >>> PortableContext({"name": "ada"})["name"]
        'ada'
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self.update(values)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"`peer.context` has text as keys: expected a `str`, got `{key!r}`.")
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"`peer.context[{key!r}]` cannot be kept by targets that keep it as JSON: {error}."
            ) from None
        super().__setitem__(key, value)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return a value, set first if it is not there."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *others: Any, **values: Any) -> None:
        """Set several values."""
        for key, value in dict(*others, **values).items():
            self[key] = value

    def __ior__(self, other: Any) -> PortableContext:  # type: ignore[override, misc]
        self.update(other)
        return self
