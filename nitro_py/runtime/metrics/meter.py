"""The durations of requests and publishes."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from nitro_py.encoding import Frame
from nitro_py.event import ASGIMessage, Send
from nitro_py.runtime.asgi.extensions import PassthroughSend
from nitro_py.runtime.counters import BackplaneState, Counters
from nitro_py.runtime.metrics.snapshot import HistogramSnapshot, Snapshot, WorkerSnapshots
from nitro_py.runtime.routing.methods import METHODS

if TYPE_CHECKING:
    from nitro_py.runtime.contracts import Publish

# Upper bounds of the buckets, in seconds; one more bucket is for longer durations.
BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# In place of a method that no route can serve: clients can make up any number of them.
OTHER_METHOD: Final = "OTHER"
# In place of a route's path: requests that no route serves, and files of `public/`.
NO_ROUTE: Final = "(none)"
PUBLIC_FILE: Final = "(public)"


class Histogram:
    """A histogram of durations.

    Example:
        >>> histogram = Histogram()
        >>> histogram.observe(0.002)
        >>> histogram.counts[:4], histogram.total
        ([0, 0, 1, 0], 0.002)
    """

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration, in seconds."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def take_snapshot(self, labels: tuple[str, ...] = ()) -> HistogramSnapshot:
        """Take the values as they are now, under labels."""
        return HistogramSnapshot(labels, tuple(self.counts), self.total)


class Meter:
    """The histograms of an app; an app without a meter measures nothing."""

    def __init__(self) -> None:
        # The snapshots of the app's other workers, if there are any.
        self.workers: WorkerSnapshots | None = None
        # By method, route and class of status: no request can add a series for a path or method of its own.
        self.requests: dict[tuple[str, str, str], Histogram] = {}
        self.publishes = Histogram()

    def time_request(self, method: str, route: str | None) -> RequestTimer:
        """Begin to measure a request.

        Args:
            method: The request's method.
            route: The path of its route; `None` if there is none.
        """
        return RequestTimer(
            self, method if method in METHODS else OTHER_METHOD, NO_ROUTE if route is None else route
        )

    def time_publish(self, publish: Publish) -> Publish:
        """Return a function that publishes and measures it, the wait for the backplane included."""

        async def publish_timed(
            topic: str, frame: Frame, *, namespace: str | None = None, exclude: str | None = None
        ) -> None:
            began = time.perf_counter()
            try:
                await publish(topic, frame, namespace=namespace, exclude=exclude)
            finally:
                # A failure counts too: its time is what the publisher has waited.
                self.publishes.observe(time.perf_counter() - began)

        return publish_timed

    def take_snapshot(self, counters: Counters, backplane: BackplaneState, *, streams: int) -> Snapshot:
        """Take the values of all metrics as they are now.

        Args:
            counters: The app's totals.
            backplane: The state of its backplane.
            streams: How many event streams are open.
        """
        return Snapshot(
            counters=dict(vars(counters)),
            streams=streams,
            backplane=dict(vars(backplane)),
            requests=tuple(histogram.take_snapshot(labels) for labels, histogram in sorted(self.requests.items())),
            publishes=self.publishes.take_snapshot(),
        )


class RequestTimer:
    """The timer of a request, which starts when it is made."""

    __slots__ = ("_began", "_meter", "_method", "_route")

    def __init__(self, meter: Meter, method: str, route: str) -> None:
        self._meter = meter
        self._method = method
        self._route = route
        self._began = time.perf_counter()

    def note(self, status: int | None, ended: float | None = None) -> None:
        """Note the end of the request.

        Args:
            status: The answer's status; `None` if there was no answer.
            ended: The time of `time.perf_counter` at the end; by default now.
        """
        key = (self._method, self._route, "none" if status is None else f"{status // 100}xx")
        histogram = self._meter.requests.get(key)
        if histogram is None:
            histogram = self._meter.requests[key] = Histogram()
        histogram.observe((time.perf_counter() if ended is None else ended) - self._began)

    @contextmanager
    def timing(self, send: Send) -> Iterator[Send]:
        """Yield a `send` that sees the answer, and note the end of the request after the block.

        The time of an event stream ends at its start: its own end depends on the client.
        """
        timed = TimedSend(send)
        try:
            yield timed
        finally:
            self.note(timed.status, timed.ended)


class TimedSend(PassthroughSend):
    """An ASGI `send` that notes the status of an answer, and the time at which an event stream starts.

    Args:
        send: The server's own.
    """

    __slots__ = ("ended", "status")

    def __init__(self, send: Send) -> None:
        super().__init__(send)
        self.status: int | None = None
        self.ended: float | None = None

    async def __call__(self, message: ASGIMessage) -> None:
        """Take one ASGI message."""
        await self.send(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if is_event_stream(message):
                self.ended = time.perf_counter()


def is_event_stream(start: ASGIMessage) -> bool:
    """Return whether the start of an answer belongs to a stream of server-sent events."""
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in start.get("headers", ())
    )
