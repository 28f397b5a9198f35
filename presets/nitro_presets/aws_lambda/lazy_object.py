"""Objects that a function may never use, made at their first use, with the modules behind them.

A function loads only the services that it calls: benchmark rows `lambda-cold-http` and `lambda-cold-websocket`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")


def make_lazily(make: Callable[[], T]) -> T:
    """Return an object that stands for another, which is made when the first attribute is read.

    Args:
        make: Makes the object.

    Example:
        >>> make_lazily(lambda: "text").upper()
        'TEXT'
    """
    return cast(T, _Lazy(make))


class _Lazy:
    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make

    def __getattr__(self, name: str) -> Any:
        # Bound methods are kept: the second call of one does not come here.
        found = getattr(self._make_once(), name)
        setattr(self, name, found)
        return found

    def _make_once(self) -> object:
        made = self._make()
        self._make = lambda: made
        return made
