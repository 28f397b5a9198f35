"""The app of `tests/aws_account/app`, where it runs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

# Seconds that one answer may take, a cold start included.
PATIENCE = 60.0
NOTE = "a b+c/ü&d=é%"


@dataclass(frozen=True, slots=True)
class Account:
    """What of an account a stack is looked up in.

    Args:
        session: boto3's session.
        outputs: The outputs of the stack, by name.
    """

    session: Any
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Site:
    """The running app.

    Args:
        url: Where it answers.
        account: The account; none where it runs on this machine.
        http: The client.
    """

    url: str
    account: Account | None = None
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=PATIENCE))

    def close(self) -> None:
        """Close the client."""
        self.http.close()

    def find_account(self) -> Account:
        """Return the account; without one this is an error."""
        if self.account is None:
            raise LookupError("this runs in no account")
        return self.account

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a GET."""
        return self.http.get(self.url + path, **options)

    def set_flag(self, name: str) -> None:
        """Set a flag of the app."""
        self.http.post(f"{self.url}/flag", params={"name": name}).raise_for_status()

    @contextmanager
    def open(self, note: str = "", protocols: tuple[str, ...] = ()) -> Iterator[ClientConnection]:
        """Open a socket."""
        query = httpx.QueryParams({"note": note})
        url = f"{self.url.replace('http', 'ws', 1)}/talk?{query}"
        offered = [Subprotocol(name) for name in protocols] or None
        with connect(url, subprotocols=offered, open_timeout=PATIENCE, close_timeout=PATIENCE) as socket:
            yield socket


def read_json(socket: ClientConnection) -> dict[str, Any]:
    """Return the next message of a socket."""
    message: dict[str, Any] = json.loads(socket.recv(PATIENCE))
    return message


def make_name() -> str:
    """Return a name that no flag has yet."""
    return secrets.token_hex(8)
