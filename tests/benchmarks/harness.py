"""How rows run: all contenders of a row take turns, and a contender that fails does not stop the others."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.rows import Bench, Contender, Measure, Row, Sample


@dataclass(slots=True)
class Outcome:
    """What a contender came to.

    Args:
        contender: Who.
        samples: Its figures, in the order of the rounds.
        failure: Why there are no more, if it failed.
    """

    contender: Contender
    samples: list[Sample] = field(default_factory=list)
    failure: str | None = None

    @property
    def median(self) -> float | None:
        """The median of its figures; `None` if it failed, whatever it did before."""
        return None if self.failure or not self.samples else statistics.median(s.value for s in self.samples)

    @property
    def details(self) -> dict[str, float]:
        """The median of each further figure."""
        names = self.samples[0].details if self.samples else ()
        return {name: statistics.median(s.details[name] for s in self.samples) for name in names}


@dataclass(frozen=True, slots=True)
class Result:
    """What a row came to.

    Args:
        row: The row.
        outcomes: Of its contenders, in their order.
    """

    row: Row
    outcomes: tuple[Outcome, ...]

    @property
    def ratio(self) -> float | None:
        """What the first contender needs, in parts of what its peer needs; `None` without one of both figures."""
        ours, theirs = self.outcomes[0].median, self.peer.median if self.peer else None
        return None if ours is None or not theirs else ours / theirs

    @property
    def peer(self) -> Outcome | None:
        """The outcome of the peer that the row is compared with, if there is one."""
        return self.find(self.row.target.peer) if self.row.target else None

    @property
    def met(self) -> bool | None:
        """Whether the target was reached; `None` if there is no ratio."""
        if self.ratio is None or self.row.target is None:
            return None
        ours = self.outcomes[0]
        within = self.row.limit is None or (ours.median or 0) <= self.row.limit
        within = within and all(ours.details[name] <= most for name, most in self.row.limits.items())
        return within and self.ratio <= self.row.target.ratio

    def find(self, name: str) -> Outcome:
        """Find a contender's outcome."""
        return next(outcome for outcome in self.outcomes if outcome.contender.name == name)


def run_row(row: Row, bench: Bench, rounds: int) -> Result:
    """Open all contenders of a row and measure them in interleaved rounds.

    Args:
        row: The row.
        bench: What its contenders may use.
        rounds: How many samples each gives.
    """
    outcomes = tuple(Outcome(contender) for contender in row.contenders)
    with ExitStack() as stack:
        measures = {id(outcome): measure for outcome, measure in _open(outcomes, bench, stack)}
        for number in range(rounds):
            for outcome in outcomes if number % 2 == 0 else reversed(outcomes):
                if outcome.failure is None:
                    _sample(outcome, measures[id(outcome)])
    return Result(row, outcomes)


def _open(outcomes: tuple[Outcome, ...], bench: Bench, stack: ExitStack) -> Iterator[tuple[Outcome, Measure]]:
    for outcome in outcomes:
        try:
            yield outcome, stack.enter_context(outcome.contender.open(bench))
        except Exception as error:
            _fail(outcome, error)


def _sample(outcome: Outcome, measure: Measure) -> None:
    try:
        outcome.samples.append(measure())
    except Exception as error:
        _fail(outcome, error)


def _fail(outcome: Outcome, error: Exception) -> None:
    text = str(error) if isinstance(error, BenchmarkError) else f"{type(error).__name__}: {error}"
    outcome.failure = text
    print(f"{outcome.contender.name} failed: {text}", file=sys.stderr)
