"""Whom the running code works for: a request or a peer, as logs name it."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nitro_py.event import Event
    from nitro_py.peer import Peer

# The route's path goes along; `None` where no route was found.
Subject = tuple["Event | Peer", "str | None"]

current_subject: ContextVar[Subject | None] = ContextVar("nitro_py_subject", default=None)


def enter_subject(subject: Event | Peer, route: str | None) -> Token[Subject | None]:
    """Note whom the code from here on works for, in this task and those that it starts.

    Nothing is looked up until somebody logs, so that a request costs no more than the note.
    """
    return current_subject.set((subject, route))


def leave_subject(token: Token[Subject | None]) -> None:
    """Take a note back, where the same context goes on with something else."""
    current_subject.reset(token)


def describe_subject() -> dict[str, str]:
    """Return what logs show: `request_id` or `peer_id`, and `route`; nothing outside of requests and hooks."""
    found = current_subject.get()
    if found is None:
        return {}
    from nitro_py.event import Event

    subject, route = found
    fields = {"request_id" if isinstance(subject, Event) else "peer_id": subject.id}
    if route is not None:
        fields["route"] = route
    return fields
