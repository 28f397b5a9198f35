"""How much of the server one client may use, and for how long."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from nitro_py.runtime.asgi.internal_routes import METRICS_PATH, PROBES
from nitro_py.runtime.counters import Counters
from nitro_py.runtime.settings import HttpSettings, ServerSettings, Settings

logger = logging.getLogger("nitro_py.server")

# How often connections are checked, in seconds; timeouts may be longer by that much.
TICK: Final = 1.0
# How many connections above the limit are taken all the same, for probes and for an answer with 503.
SPARE_CONNECTIONS: Final = 64
# How many files a process has open beside its connections, and the most that it asks the system for.
OWN_FILES: Final = 128
MAX_FILES: Final = 1024 * 1024

# The states of a TCP connection whose client has ended it (`tcp_states.h`): CLOSE and CLOSE_WAIT.
ENDED_STATES: Final = frozenset({7, 8})
# What must answer a platform in a crowd too. Other paths may have handlers of the project, which take their time.
PROBE_TARGETS: Final = frozenset(path.encode() for path in PROBES)
METRICS_TARGET: Final = METRICS_PATH.encode()
_HTTP_DEFAULTS: Final = HttpSettings()


class RequestRefusal(NamedTuple):
    """An answer in the app's place.

    Args:
        status: The HTTP status; 0 ends the connection without an answer.
        text: The content, and what is logged.
    """

    status: int
    text: str


BAD_HOST: Final = RequestRefusal(400, "The request needs one field `Host`, with a host in it.")
HEADER_TOO_LARGE: Final = RequestRefusal(431, "The header of the request is too large.")
BAD_REQUEST: Final = RequestRefusal(400, "Invalid HTTP request received.")
NO_ANSWER: Final = RequestRefusal(0, "")
TOO_MANY: Final = RequestRefusal(503, "Too many connections.")
TOO_SLOW: Final = RequestRefusal(408, "The request takes too long to come.")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of a server's connections.

    Args:
        max_header: The largest head of a request, in bytes.
        header_timeout: How long the head of a request may take to come, in seconds; 0 for any time.
        body_timeout: How long a body may make no progress in either direction, in seconds; 0 for any time.
        max_connections: The most open connections; 0 for any number.
        spared: The paths that are answered above that number.
    """

    max_header: int = _HTTP_DEFAULTS.max_header
    header_timeout: float = _HTTP_DEFAULTS.header_timeout
    body_timeout: float = _HTTP_DEFAULTS.body_timeout
    max_connections: int = ServerSettings().max_connections
    spared: frozenset[bytes] = PROBE_TARGETS


class SurplusConnection(Protocol):
    """A connection above the limit."""

    def drop_if_idle(self) -> bool:
        """Drop the connection, unless a request of its client is being answered; return whether it was dropped."""


class ServerLimits:
    """A server's limits, and the requests that were refused because of them.

    Args:
        limits: The limits.
        counters: The app's counters, which count refusals too.
    """

    def __init__(self, limits: ConnectionLimits | None = None, counters: Counters | None = None) -> None:
        self.limits = limits or ConnectionLimits()
        self._counters = counters or Counters()
        self._refused: Counter[RequestRefusal] = Counter()
        # The connections above the limit, in the order in which they came.
        self._surplus: dict[SurplusConnection, None] = {}

    def admit_surplus(self, connection: SurplusConnection, *, is_full: bool) -> bool:
        """Return whether a connection above the limit may stay, and remember it then.

        Args:
            connection: The connection.
            is_full: Whether it takes the place of the oldest one that asks for nothing: silent clients must not
                keep probes out.
        """
        if is_full:
            dropped = next((other for other in self._surplus if other.drop_if_idle()), None)
            if dropped is None:
                return False
            del self._surplus[dropped]
        self._surplus[connection] = None
        return True

    def forget_surplus(self, connection: SurplusConnection) -> None:
        """Forget a connection above the limit that is gone."""
        self._surplus.pop(connection, None)

    def note(self, refusal: RequestRefusal) -> None:
        """Count a request that was refused."""
        self._counters.requests_refused += 1
        self._refused[refusal] += 1

    def report(self) -> None:
        """Log what was noted since the last call: one line for each kind, since it may be a flood."""
        for refusal, count in self._refused.items():
            logger.warning("Refused %d requests with %d: %s", count, *refusal)
        self._refused.clear()


class ConnectionGuard:
    """The limits of one connection, and how near it is to them.

    Nothing looks at a clock when bytes come: ticks are counted, and progress begins the count anew (row `http`).

    Args:
        server: The limits of the server, and the count of refusals.
    """

    __slots__ = (
        "_first_size",
        "_limits",
        "_loose_size",
        "_piece_size",
        "_reads_head",
        "_ticks",
        "_unsent",
        "is_head_begun",
        "is_surplus",
        "note",
    )

    def __init__(self, server: ServerLimits) -> None:
        self.note = server.note
        self._limits = server.limits
        # Whether the head of a request is to come, how much has come since the piece in which a head or a part of
        # a body did, and how large the last piece was.
        self._reads_head = True
        # Whether a part of a request's head has come, and not yet all of it; no property, which costs a call.
        self.is_head_begun = False
        self._loose_size = 0
        self._piece_size = 0
        # How large the piece was in which the head began.
        self._first_size = 0
        self.is_surplus = False
        self._ticks = 0
        self._unsent = 0

    def admit(self, connections: int) -> bool:
        """Return whether the connection may stay; one that is over the limit may only be told so.

        Args:
            connections: How many connections are open, this one included.
        """
        most = self._limits.max_connections
        self.is_surplus = 0 < most < connections
        return not self.is_surplus or connections <= most + SPARE_CONNECTIONS

    def count_bytes(self, size: int) -> None:
        """Count the bytes that came, before they are read."""
        self._piece_size = size
        self._loose_size += size

    def check(self) -> RequestRefusal | None:
        """Refuse a head, or fields behind a body, that grow too large; called once what came is read."""
        return HEADER_TOO_LARGE if self._loose_size > self._limits.max_header else None

    def begin_head(self) -> None:
        """Begin the count of a head, somewhere in the piece that came last."""
        self._reads_head = self.is_head_begun = True
        self._loose_size = self._ticks = 0
        self._first_size = self._piece_size

    def end_head(self, target: bytes, fields: list[tuple[bytes, bytes]]) -> RequestRefusal | None:
        """Refuse a request whose head is too large, or whose connection is one too many."""
        self._reads_head = self.is_head_begun = False
        came = self._loose_size + self._piece_size + self._first_size
        self._loose_size = self._ticks = 0
        if came > self._limits.max_header:
            # What came together with other requests, or with a body, is measured by itself.
            size = len(target) + sum(len(name) + len(value) + 4 for name, value in fields)
            if size > self._limits.max_header:
                return HEADER_TOO_LARGE
        return TOO_MANY if self.is_surplus and target.partition(b"?")[0] not in self._limits.spared else None

    def note_progress(self) -> None:
        """Begin the count anew: more of a body has come."""
        self._loose_size = self._ticks = 0

    def tick(self, *, reads_body: bool, unsent: int) -> RequestRefusal | None:
        """Refuse a client that keeps us waiting for too long; called once a `TICK`.

        Args:
            reads_body: Whether more of a request's body is to come, and we would take it.
            unsent: How many bytes the client has not taken, if an answer waits for that; otherwise 0.
        """
        stuck = 0 < self._unsent <= unsent
        self._unsent = unsent
        limit = self._limits.header_timeout if self._reads_head else self._limits.body_timeout
        if not (limit and (self._reads_head or reads_body or stuck)):
            self._ticks = 0
            return None
        self._ticks += 1
        if self._ticks * TICK <= limit:
            return None
        # The client would not read an answer, or has asked for none.
        return NO_ANSWER if stuck or (self._reads_head and not self.is_head_begun) else TOO_SLOW


def has_left(transport: asyncio.Transport) -> bool:
    """Return whether the client of a connection that is not read has ended it; false where no system tells."""
    if sys.platform != "linux":
        return False
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except (OSError, ValueError):  # a socket of another family, or one that is closed
        return False
    return info[0] in ENDED_STATES


def make_server_limits(settings: Settings, counters: Counters) -> ServerLimits:
    """Return a server's limits: those of the settings, or what the system allows.

    A server that has no file descriptors left accepts nothing, not even probes; so without a setting of its own it
    takes as many connections as it may have files, and asks for as many as it can get.
    """
    limits = ConnectionLimits(
        max_header=settings.http.max_header,
        header_timeout=settings.http.header_timeout,
        body_timeout=settings.http.body_timeout,
        max_connections=settings.server.max_connections or count_files(),
        spared=PROBE_TARGETS | {METRICS_TARGET} if settings.metrics else PROBE_TARGETS,
    )
    return ServerLimits(limits, counters)


def count_files() -> int:
    """Let this process open as many files as it may, and return how many connections that makes."""
    if sys.platform == "win32":
        return 0
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError) as error:
            logger.debug("Could not raise the number of open files to %d: %s", wanted, error)
    return max(1, (MAX_FILES if soft == resource.RLIM_INFINITY else soft) - OWN_FILES - SPARE_CONNECTIONS)
