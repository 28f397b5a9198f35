"""Ending a build that waits for the project's own code."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nitro_py.errors import BuildError


class BuildInterruptedError(BuildError):
    """A build that was given up, as a newer one takes its place or its program ends."""

    def __init__(self) -> None:
        super().__init__("The build was interrupted.")


class Interrupt:
    """The wish that a build ends, which another thread may utter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: list[Callable[[], None]] = []
        self._raised = False

    @property
    def raised(self) -> bool:
        """Whether the build shall end."""
        return self._raised

    def raise_now(self) -> None:
        """End what the build waits for; a second call does nothing."""
        with self._lock:
            self._raised = True
            ends, self._ends = self._ends, []
        for end in ends:
            end()

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """Call a function if the wish is uttered meanwhile, or was before.

        Raises:
            BuildInterruptedError: It was.
        """
        with self._lock:
            if not self._raised:
                self._ends.append(end)
        if self._raised:
            end()
        try:
            yield
        finally:
            with self._lock:
                if end in self._ends:
                    self._ends.remove(end)
            if self._raised:
                raise BuildInterruptedError
