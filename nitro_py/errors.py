"""Every error that nitropy-kit raises on purpose."""

from __future__ import annotations

# The name on PyPI; `nitropy` is taken there by an unrelated package.
DISTRIBUTION = "nitropy-kit"


class NitroError(Exception):
    """The root of every error that nitropy-kit raises on purpose.

    Args:
        message: What is wrong, with names in backticks.
        file: The file it was found in, relative to the project where possible.
        line: The line in that file, counted from 1.
        hint: What to do about it.

    Example:
        >>> print(NitroError("No handler in `a.py`.", file="a.py", line=1, hint="Add one."))
        No handler in `a.py`.
          at a.py:1
          hint: Add one.
    """

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.hint = hint

    def __str__(self) -> str:
        text = self.message
        if self.file is not None:
            text += f"\n  at {self.file}" + (f":{self.line}" if self.line is not None else "")
        if self.hint is not None:
            text += f"\n  hint: {self.hint}"
        return text


class ConfigError(NitroError):
    """Says which setting is wrong, where it stands, and what was expected."""


class BuildError(NitroError):
    """Says why the handlers cannot be built."""


class UsageError(NitroError):
    """Says why a command cannot do what it was asked for."""


class HTTPError(NitroError):
    """Answers a request, or refuses an upgrade, with a status.

    Args:
        status: The HTTP status, 400 to 599.
        message: What the client is told; by default the status's own phrase.
        data: Anything JSON can hold, sent along as `data`.
        headers: Headers of the answer.

    Example:
        >>> HTTPError(404, "no such user").status
        404
    """

    def __init__(
        self,
        status: int,
        message: str | None = None,
        data: object = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        from http import HTTPStatus

        if message is None:
            message = HTTPStatus(status).phrase
        super().__init__(message)
        self.status = status
        self.data = data
        self.headers = headers or {}


class ClientLeftError(HTTPError):
    """Says that a client left before its request was complete; nobody hears the answer."""

    def __init__(self) -> None:
        super().__init__(400, "The client left before its request was complete.")


class PeerClosedError(NitroError):
    """Says that a peer is gone; uncaught in a hook, it ends the hook quietly."""


class MessageValidationError(NitroError):
    """Says that a message is not what the route's model or the message's reader expects.

    Args:
        message: What is wrong.
        issues: The validator's findings, as pydantic's `errors()` lists them.
    """

    def __init__(self, message: str, issues: list[dict[str, object]] | None = None) -> None:
        super().__init__(message)
        self.issues = issues or []


class MessageTooLargeError(NitroError):
    """Says that a message is larger than the target can carry."""


class UnsupportedError(NitroError):
    """Says that the target cannot do what was asked of it."""


class BackplaneError(NitroError):
    """Says that a message could not be handed to the other processes."""


def suggest_extra(extra: str) -> str:
    """Return the command that installs an optional part of this distribution.

    Example:
        >>> suggest_extra("redis")
        '`pip install "nitropy-kit[redis]"`'
    """
    return f'`pip install "{DISTRIBUTION}[{extra}]"`'
