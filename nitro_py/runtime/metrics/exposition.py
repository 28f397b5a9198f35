"""Metrics in the formats of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from nitro_py.runtime.metrics.meter import BOUNDS
from nitro_py.runtime.metrics.snapshot import HistogramSnapshot, Snapshot

WORKER = "worker"
_COUNTERS = {
    "sockets_opened": ("nitro_websocket_connections_opened", "WebSocket connections that were accepted."),
    "sockets_closed": ("nitro_websocket_connections_closed", "WebSocket connections that have ended."),
    "messages_received": ("nitro_websocket_messages_received", "Messages that peers sent."),
    "messages_sent": (
        "nitro_websocket_messages_sent",
        "Messages that were sent to peers, a topic's once for each subscriber.",
    ),
    "peers_too_slow": (
        "nitro_websocket_slow_peers_closed",
        "Peers that were closed with 1013, because too much waited for them.",
    ),
    "requests_refused": (
        "nitro_http_requests_refused",
        "Requests that the server answered in the app's place: too large, too slow, too many, or no HTTP.",
    ),
}
_BACKPLANE = {
    "reconnects": ("nitro_backplane_reconnects", "How often the broker came back."),
    "failures": ("nitro_backplane_failures", "Messages that could not be handed to the broker."),
    "received": ("nitro_backplane_messages_received", "Messages that came from other processes."),
}


class SnapshotCollector:
    """A collector of prometheus-client for all workers; each has its own series, which a restart sets to 0.

    Args:
        workers: The snapshots by the workers' numbers.
    """

    def __init__(self, workers: Mapping[int, Snapshot]) -> None:
        self._workers = {str(number): snapshot for number, snapshot in sorted(workers.items())}

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        for name, (metric, text) in _COUNTERS.items():
            yield self._count(metric, text, lambda snapshot, name=name: snapshot.counters[name])
        yield self._gauge(
            "nitro_websocket_connections",
            "WebSocket connections that are open.",
            lambda snapshot: snapshot.counters["sockets_opened"] - snapshot.counters["sockets_closed"],
        )
        yield self._gauge("nitro_event_streams", "Event streams that are open.", lambda snapshot: snapshot.streams)
        yield self._gauge(
            "nitro_backplane_connected",
            "Whether topics reach the other processes.",
            lambda snapshot: snapshot.backplane["connected"],
        )
        for name, (metric, text) in _BACKPLANE.items():
            yield self._count(metric, text, lambda snapshot, name=name: snapshot.backplane[name])
        yield self._histogram(
            "nitro_publish_duration_seconds",
            "Time until a publish has reached the local subscribers and the broker.",
            (),
            lambda snapshot: [snapshot.publishes],
        )
        yield self._histogram(
            "nitro_http_request_duration_seconds",
            "Time until a request was answered; until the answer began, where that is an event stream.",
            ("method", "route", "status"),
            lambda snapshot: snapshot.requests,
        )

    def _count(self, name: str, text: str, read: Any) -> Metric:
        family = CounterMetricFamily(name, text, labels=[WORKER])
        for worker, snapshot in self._workers.items():
            family.add_metric([worker], read(snapshot))
        return family

    def _gauge(self, name: str, text: str, read: Any) -> Metric:
        family = GaugeMetricFamily(name, text, labels=[WORKER])
        for worker, snapshot in self._workers.items():
            family.add_metric([worker], read(snapshot))
        return family

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], read: Any) -> Metric:
        family = HistogramMetricFamily(name, text, labels=[WORKER, *labels])
        for worker, snapshot in self._workers.items():
            histograms: Iterable[HistogramSnapshot] = read(snapshot)
            for histogram in histograms:
                family.add_metric([worker, *histogram.labels], cumulate(histogram.counts), histogram.total)
        return family


def cumulate(counts: Iterable[int]) -> list[tuple[str, float]]:
    """Return the buckets of Prometheus, each with the counts of those below it."""
    buckets = []
    count = 0
    for bound, more in zip((*(str(bound) for bound in BOUNDS), "+Inf"), counts, strict=True):
        count += more
        buckets.append((bound, float(count)))
    return buckets


def write_metrics(workers: Mapping[int, Snapshot], accept: str) -> tuple[bytes, str]:
    """Return metrics in a format of Prometheus.

    Args:
        workers: The snapshots by the workers' numbers.
        accept: The field `Accept` of the request, which selects the format.

    Returns:
        The text, and its content type.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(workers))
    encode, kind = choose_encoder(accept)
    return encode(registry), kind
