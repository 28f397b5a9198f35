"""How much of the server one client may have, and for how long."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple

from nitro_py.runtime.counters import Counters
from nitro_py.runtime.settings import Settings

logger = logging.getLogger("nitro_py.server")

# How often connections are looked at, in seconds: time-outs are that much longer at most.
TICK: Final = 1.0
# Connections above the limit that are taken all the same, for probes and to say no in words.
SPARE: Final = 64
# Files that a process has open beside its connections, and the most that it asks for.
OWN_FILES: Final = 128
MOST_FILES: Final = 1024 * 1024


# The app's own endpoints, which must answer a platform in a crowd too.
OWN_PATHS: Final = b"/_nitro/"


class Refusal(NamedTuple):
    """An answer in the app's place: a status and a text; without a status the connection just ends."""

    status: int
    text: str


BAD_HOST: Final = Refusal(400, "The request needs one field `Host`, with a host in it.")
HEADER_TOO_LARGE: Final = Refusal(431, "The header of the request is too large.")
NO_HTTP: Final = Refusal(400, "Invalid HTTP request received.")
NO_WORD: Final = Refusal(0, "")
TOO_MANY: Final = Refusal(503, "Too many connections.")
TOO_SLOW: Final = Refusal(408, "The request takes too long to come.")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server's connections.

    Args:
        max_header: Largest head of a request, in bytes.
        header_timeout: Seconds for the head of a request to come; 0 = any.
        body_timeout: Seconds without progress while a body is received or sent; 0 = any.
        max_connections: Most open connections; 0 = any number.
    """

    max_header: int = 64 * 1024
    header_timeout: float = 30.0
    body_timeout: float = 60.0
    max_connections: int = 0


class Limiter:
    """A server's limits, and counts whom they were too narrow for.

    Args:
        limits: The limits.
        counters: Counts refusals for all time.
    """

    def __init__(self, limits: Limits | None = None, counters: Counters | None = None) -> None:
        self.limits = limits or Limits()
        self._counters = counters or Counters()
        self._refused: Counter[Refusal] = Counter()

    def note(self, refusal: Refusal) -> None:
        """Note that a request was refused."""
        self._counters.requests_refused += 1
        self._refused[refusal] += 1

    def report(self) -> None:
        """Log what was noted since the last call: once for all, since it may be a flood."""
        for refusal, count in self._refused.items():
            logger.warning("Refused %d requests with %d: %s", count, *refusal)
        self._refused.clear()


class Guard:
    """Watches over the limits of one connection.

    Nothing looks at a clock when bytes come: ticks are counted, and progress begins the count anew.

    Args:
        limiter: What holds the server's limits.
    """

    __slots__ = (
        "_begun",
        "_is_surplus",
        "_limits",
        "_loose_size",
        "_piece_size",
        "_reads_head",
        "_ticks",
        "_unsent",
        "note",
    )

    def __init__(self, limiter: Limiter) -> None:
        self.note = limiter.note
        self._limits = limiter.limits
        # Whether the head of a request is to come, whether it has begun to, how much has come since the piece in
        # which a head or a part of a body did, and how large the last piece was.
        self._reads_head = True
        self._begun = False
        self._loose_size = 0
        self._piece_size = 0
        self._is_surplus = False
        self._ticks = 0
        self._unsent = 0

    def admit(self, connections: int) -> bool:
        """Count the connection among all; false means that there are too many to even say so."""
        most = self._limits.max_connections
        self._is_surplus = 0 < most < connections
        return not self._is_surplus or connections <= most + SPARE

    def take(self, size: int) -> None:
        """Note that some bytes came, before they are read."""
        self._piece_size = size
        self._loose_size += size

    def check(self) -> Refusal | None:
        """Refuse a head, or fields behind a body, that grow and grow; to be called once what came is read."""
        return HEADER_TOO_LARGE if self._loose_size > self._limits.max_header else None

    def begin_head(self) -> None:
        """Note that a request begins, somewhere in the piece that came last."""
        self._reads_head = self._begun = True
        self._loose_size = self._ticks = 0

    @property
    def is_head_begun(self) -> bool:
        """Whether a part of a request's head has come, and not yet all of it."""
        return self._begun

    def end_head(self, target: bytes, fields: list[tuple[bytes, bytes]]) -> Refusal | None:
        """Refuse a request whose head is too large, or whose connection is one too many."""
        self._reads_head = self._begun = False
        came = self._loose_size + self._piece_size
        self._loose_size = self._ticks = 0
        if came > self._limits.max_header:
            # What came together with other requests, or with a body, is measured by itself.
            size = len(target) + sum(len(name) + len(value) + 4 for name, value in fields)
            if size > self._limits.max_header:
                return HEADER_TOO_LARGE
        return TOO_MANY if self._is_surplus and not target.startswith(OWN_PATHS) else None

    def progress(self) -> None:
        """Note that more of a body has come."""
        self._loose_size = self._ticks = 0

    def tick(self, *, reads_body: bool, unsent: int) -> Refusal | None:
        """Refuse a client that keeps us waiting for too long; to be called once a `TICK`.

        Args:
            reads_body: Whether more of a request's body is to come, and we would take it.
            unsent: Bytes that the client has not taken, if it is they that an answer waits for.
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
        # Nobody would read an answer, or nobody has asked for one.
        return NO_WORD if stuck or (self._reads_head and not self._begun) else TOO_SLOW


def make_limiter(settings: Settings, counters: Counters) -> Limiter:
    """Return the limits that the settings ask for, or that the system sets.

    A server that has no file descriptors left accepts nothing, not even probes; so without a setting of its own it
    takes as many connections as it may have files, and asks for as many as it can get.
    """
    limits = Limits(
        max_header=settings.http.max_header,
        header_timeout=settings.http.header_timeout,
        body_timeout=settings.http.body_timeout,
        max_connections=settings.server.max_connections or count_files(),
    )
    return Limiter(limits, counters)


def count_files() -> int:
    """Let this process open as many files as it may, and return how many connections that makes."""
    if sys.platform == "win32":
        return 0
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError) as error:
            logger.debug("Could not raise the number of open files to %d: %s", wanted, error)
    return max(1, (MOST_FILES if soft == resource.RLIM_INFINITY else soft) - OWN_FILES - SPARE)
