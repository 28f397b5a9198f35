"""What an app gives a test: whole answers, and the two ways in which a socket says no."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from nitro_py.errors import NitroError
from nitro_py.headers import Headers


@dataclass(frozen=True, slots=True)
class TestResponse:
    """A whole HTTP answer.

    Args:
        status: The HTTP status.
        headers: The header fields.
        body: The bytes of the body.

    Example:
        >>> TestResponse(200, Headers(), b'{"a": 1}').json()
        {'a': 1}
    """

    # Its name would make pytest look for tests in it.
    __test__: ClassVar[bool] = False

    status: int
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Read the body as JSON.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Closed:
    """Says how a socket was closed.

    Args:
        code: The close code; 1005 when none was given, 1006 when the connection was lost.
        reason: The reason that came with it.
    """

    code: int
    reason: str = ""


class SocketClosed(NitroError):
    """Says that a socket has nothing more to give, because it is closed.

    Args:
        closed: How it was closed.
    """

    def __init__(self, closed: Closed) -> None:
        super().__init__(f"The socket is closed: {closed.code} {closed.reason}".rstrip() + ".")
        self.code = closed.code
        self.reason = closed.reason


class UpgradeRefused(NitroError):
    """Says that the app refused to open a socket.

    Args:
        answer: What it answered.
    """

    def __init__(self, answer: TestResponse) -> None:
        text = answer.body.decode(errors="replace")
        super().__init__(f"The upgrade was refused with {answer.status}: {text}".rstrip(": ") + ".")
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.body
