"""The errors of nitropy-kit."""

from __future__ import annotations

# The name on PyPI; `nitropy` is taken there by an unrelated package.
DISTRIBUTION = "nitropy-kit"


class NitroError(Exception):
    """The base class of the errors that nitropy-kit raises.

    Args:
        message: The description, with names in backticks.
        file: The file with the error, relative to the project where possible.
        line: The line in that file, counted from 1.
        hint: A way to correct the error.

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
    """A setting is wrong; the message names it, its place, and what was expected."""


class BuildError(NitroError):
    """The project cannot be built."""


class UsageError(NitroError):
    """A command cannot do what it was called for."""


class HTTPError(NitroError):
    """An error that a request is answered with, or an upgrade is refused with.

    The answer's body is the JSON object `{"status", "message", "data"}`.

    Args:
        status: The HTTP status, 400 to 599.
        message: The text for the client; by default the phrase of the status (RFC 9110, section 15).
        data: Any value that has a JSON form.
        headers: Header fields of the answer.

    Raises:
        ValueError: The status is no error's.

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
        check_error_status(status)
        if message is None:
            from http import HTTPStatus

            try:
                message = HTTPStatus(status).phrase
            except ValueError:
                # Proxies have statuses of their own, such as 499.
                message = f"Error {status}"
        super().__init__(message)
        self.status = status
        self.data = data
        self.headers = headers or {}


def check_error_status(status: object) -> None:
    """Refuse what is no status of an error."""
    if not isinstance(status, int) or not 400 <= status <= 599:
        raise ValueError(f"`HTTPError` has the status {status!r}: expected 400 to 599.")


class ClientLeftError(HTTPError):
    """The client disconnected before its request was complete; there is no one left to answer."""

    def __init__(self) -> None:
        super().__init__(400, "The client disconnected before its request was complete.")


class PeerClosedError(NitroError):
    """The peer is gone. A hook that does not catch this error ends, and nothing is logged."""


class MessageValidationError(NitroError):
    """A message does not fit the route's model, or is not the text or JSON that it is read as.

    Args:
        message: The description.
        issues: The errors that the validator found, as pydantic's `errors()` lists them.
    """

    def __init__(self, message: str, issues: list[dict[str, object]] | None = None) -> None:
        super().__init__(message)
        self.issues = issues or []


class MessageTooLargeError(NitroError):
    """A message is larger than the target can send."""


class UnsupportedError(NitroError):
    """The target cannot do what was called for."""


class BackplaneError(NitroError):
    """The broker cannot be reached, or refuses: messages do not reach the other processes of the app."""


class StorageError(NitroError):
    """The store of a storage cannot be reached, or refuses."""


class StorageAnswerLostError(StorageError):
    """The store was reached and did not answer: the call may have been applied, or not."""


def suggest_extra(extra: str) -> str:
    """Return the command that installs an optional part of this distribution.

    Example:
        >>> suggest_extra("redis")
        '`pip install "nitropy-kit[redis]"`'
    """
    return f'`pip install "{DISTRIBUTION}[{extra}]"`'
