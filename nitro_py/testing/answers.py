"""What a test gets from an app: whole answers, and how a WebSocket was closed or refused."""

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
        body: The content.
        history: The redirects that were followed to it, oldest first.

    Example:
        >>> TestResponse(200, Headers(), b'{"a": 1}').json()
        {'a': 1}
    """

    # Its name would make pytest look for tests in it.
    __test__: ClassVar[bool] = False

    status: int
    headers: Headers
    body: bytes
    history: tuple[TestResponse, ...] = ()

    @property
    def text(self) -> str:
        """The content as text, read as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """Return the value that the content stands for as JSON.

        Raises:
            ValueError: The content is not JSON.
        """
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Closed:
    """How a WebSocket was closed (RFC 6455, section 7.1.5).

    Args:
        code: The close code: 1005 if none was given, 1006 if the connection was lost.
        reason: The reason, empty if none was given.
    """

    code: int
    reason: str = ""


class SocketClosed(NitroError):
    """A WebSocket is closed, and has no message left.

    Args:
        closed: How it was closed; the error has its `code` and `reason`.
    """

    def __init__(self, closed: Closed) -> None:
        super().__init__(f"The socket is closed: {closed.code} {closed.reason}".rstrip() + ".")
        self.code = closed.code
        self.reason = closed.reason


class UpgradeRefused(NitroError):
    """The app refused to open a WebSocket.

    Args:
        answer: Its answer; the error has its `status`, `headers` and `body`.
    """

    def __init__(self, answer: TestResponse) -> None:
        text = answer.body.decode(errors="replace")
        super().__init__(f"The upgrade was refused with {answer.status}: {text}".rstrip(": ") + ".")
        self.status = answer.status
        self.headers = answer.headers
        self.body = answer.body


class RedirectError(NitroError):
    """A redirect that a client cannot follow.

    Args:
        message: The reason.
        answer: The answer that redirects.
        hint: What to do about it.
    """

    def __init__(self, message: str, answer: TestResponse, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.answer = answer
