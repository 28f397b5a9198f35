"""AppFailures of the app's code, raised in the test that causes them."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from nitro_py.runtime.containment import failure_observer


class AppFailures:
    """The failures that the clients of an app have caused, and the test has not seen yet.

    Args:
        raised: Whether they are raised in the test; if not, they are only logged.
    """

    def __init__(self, *, raised: bool) -> None:
        self.raised = raised
        self._pending: list[Exception] = []
        self._arrival = asyncio.Event()

    @contextmanager
    def observed(self, name: str) -> Iterator[None]:
        """Watch the code that the block calls, and the tasks that it starts.

        Args:
            name: What the app is asked for there, for the error's note.
        """
        token = failure_observer.set(partial(self._add, name))
        try:
            yield
        finally:
            failure_observer.reset(token)

    async def wait(self) -> None:
        """Wait until there is a failure to raise."""
        await self._arrival.wait()

    def discard(self, error: BaseException) -> None:
        """Forget a failure that reaches the test in another way."""
        self._pending = [other for other in self._pending if other is not error]
        if not self._pending:
            self._arrival.clear()

    def raise_first(self) -> None:
        """Raise the oldest failure, if there is one.

        Raises:
            Exception: The failure.
        """
        if self._pending:
            error = self._pending[0]
            self.discard(error)
            raise error

    def settle(self, reason: BaseException | None) -> None:
        """Raise what is left when the app has stopped.

        Args:
            reason: What has ended the test, if it fails already: it gets the failures as notes.

        Raises:
            Exception: The failure, or a group of several.
        """
        left, self._pending = self._pending, []
        if reason is not None:
            for error in left:
                text = "".join(traceback.format_exception(error)).rstrip()
                reason.add_note(f"The app has failed, too:\n{text}")
        elif len(left) > 1:
            raise ExceptionGroup("Several parts of the app failed.", left)
        elif left:
            raise left[0]

    def _add(self, name: str, error: Exception, message: str) -> None:
        if self.raised and all(error is not other for other in self._pending):
            error.add_note(f"{name} made the app raise this. `raise_errors=False` leaves it to the log.")
            self._pending.append(error)
            self._arrival.set()
