"""The values of a process's metrics at one moment, as JSON: workers read each other's."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class HistogramSnapshot:
    """The values of a histogram at one moment.

    Args:
        labels: The values of its labels.
        counts: The count of each bucket, not cumulated.
        total: The sum of all values.
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The values of one process's metrics at one moment.

    Args:
        counters: The fields of `Counters`.
        streams: The number of open event streams.
        backplane: The fields of `BackplaneState`.
        requests: The durations of requests, by method, route and class of status.
        publishes: The durations of publishes.
    """

    counters: dict[str, int]
    streams: int
    backplane: dict[str, Any]
    requests: tuple[HistogramSnapshot, ...]
    publishes: HistogramSnapshot

    def to_json(self) -> bytes:
        """Return the values as JSON."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Snapshot:
        """Read what `to_json` wrote."""
        fields = json.loads(data)
        return cls(
            counters=fields["counters"],
            streams=fields["streams"],
            backplane=fields["backplane"],
            requests=tuple(_read_histogram(item) for item in fields["requests"]),
            publishes=_read_histogram(fields["publishes"]),
        )


class WorkerSnapshots(Protocol):
    """The place where the workers of an app leave their snapshots for each other."""

    @property
    def place(self) -> int:
        """This worker's own number, counted from 0."""

    def write(self, snapshot: Snapshot) -> None:
        """Leave this worker's snapshot."""

    def read_others(self) -> dict[int, Snapshot]:
        """Return the last snapshots of the other workers, by their numbers."""


def _read_histogram(item: dict[str, Any]) -> HistogramSnapshot:
    return HistogramSnapshot(tuple(item["labels"]), tuple(item["counts"]), item["total"])
