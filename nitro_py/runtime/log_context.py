"""The request or peer that the running code works for, as logs name it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nitro_py.event import Event
    from nitro_py.peer import Peer

# A request or a peer, and its route's path; `None` where no route was found.
LogContext = tuple["Event | Peer", "str | None"]

current_log_context: ContextVar[LogContext | None] = ContextVar("nitro_py_log_context", default=None)


def enter_log_context(subject: Event | Peer, route: str | None) -> None:
    """Note what the code from here on works for, in this task and those that it starts.

    Nothing is looked up until a line is logged, so that a request costs no more than the note (row `http`).
    """
    current_log_context.set((subject, route))


def read_log_fields() -> dict[str, str]:
    """Return what logs show: `request_id` or `peer_id`, and `route`; nothing outside requests and hooks."""
    found = current_log_context.get()
    if found is None:
        return {}
    from nitro_py.event import Event

    subject, route = found
    fields = {"request_id" if isinstance(subject, Event) else "peer_id": subject.id}
    if route is not None:
        fields["route"] = route
    return fields
