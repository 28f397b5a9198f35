"""The figures of one process at one moment, as JSON: workers read each other's."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nitro_py.runtime.app import App
    from nitro_py.runtime.metrics.meter import Meter


@dataclass(frozen=True, slots=True)
class HistogramFigures:
    """A histogram.

    Args:
        labels: The values of its labels.
        counts: How many fell into each bucket, not cumulated.
        total: The sum of all values.
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What one process tells of itself.

    Args:
        counters: The fields of `Counters`.
        streams: Event streams that are open.
        backplane: The fields of `BackplaneState`.
        requests: By method, route and class of status.
        publishes: How long publishes took.
    """

    counters: dict[str, int]
    streams: int
    backplane: dict[str, Any]
    requests: tuple[HistogramFigures, ...]
    publishes: HistogramFigures

    def to_json(self) -> bytes:
        """Write the figures."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Figures:
        """Read the figures."""
        fields = json.loads(data)
        return cls(
            counters=fields["counters"],
            streams=fields["streams"],
            backplane=fields["backplane"],
            requests=tuple(_read_histogram(item) for item in fields["requests"]),
            publishes=_read_histogram(fields["publishes"]),
        )


def take_figures(app: App, meter: Meter) -> Figures:
    """Take the figures of an app as they are now."""
    return Figures(
        counters=dict(vars(app.counters)),
        streams=app.open_streams,
        backplane=dict(vars(app.backplane)),
        requests=tuple(
            HistogramFigures(labels, tuple(histogram.counts), histogram.total)
            for labels, histogram in sorted(meter.requests.items())
        ),
        publishes=HistogramFigures((), tuple(meter.publishes.counts), meter.publishes.total),
    )


def _read_histogram(item: dict[str, Any]) -> HistogramFigures:
    return HistogramFigures(tuple(item["labels"]), tuple(item["counts"]), item["total"])
