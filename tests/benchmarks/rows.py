"""What a benchmark is made of: rows, each one piece of work that several contenders do in turns.

A row module defines `ROWS: tuple[Row, ...]` and is named in `catalogue.py`. The harness opens all contenders of a
row, then calls their measures in interleaved rounds (A B C, C B A, …), and compares medians. A contender that
fails is reported, and the others go on. Whatever a contender starts it ends when its context is left.

Example:
    def open_boto3(bench: Bench) -> AbstractContextManager[Measure]: ...
        # A child on the core of the servers, which answers each line of JSON by one (see `programs.py`).
        python = bench.install("lambda").python
        with open_program([python, PROGRAM], core=bench.server_core) as program:
            yield lambda: Sample(program.ask({"count": bench.scale(10_000, 1_000)})["cpu"] * 1e6)

    ROWS = (
        Row(
            name="lambda-warm-1",
            title="warm Lambda HTTP event, 1 route",
            unit="µs of CPU",
            contenders=(Contender(OURS, open_ours), Contender("Mangum + Starlette", open_mangum)),
            target=Target("Mangum + Starlette", 0.5),
        ),
    )
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.installs import Install, install_peers

OURS = "nitropy-kit"


@dataclass(frozen=True, slots=True)
class Bench:
    """What a contender may use.

    Args:
        folder: The run's own folder for bundles and logs.
        installs: Where the peers are installed, kept between runs.
        quick: Whether sizes shall be small.
        server_core: The core for what is measured.
        load_core: The core for what makes it work.
    """

    folder: Path
    installs: Path
    quick: bool
    server_core: int
    load_core: int

    def scale(self, full: int, quick: int) -> int:
        """Return the size for this run."""
        return quick if self.quick else full

    def install(self, name: str) -> Install:
        """Return a set of peers named in `installs.py`, installed if it is not yet there."""
        return install_peers(name, self.installs)


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure of one contender.

    Args:
        value: What the row compares, in the row's unit; less is better.
        details: Further figures of the same run, such as `wall` (seconds) and `load` (how busy the load client
            was, 1 being a whole core); their medians are shown beside the ratio.
    """

    value: float
    details: Mapping[str, float] = field(default_factory=dict)


Measure = Callable[[], Sample]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the work of a row.

    Args:
        name: Such as `Starlette on uvicorn`; starts with `OURS` for what is ours.
        open: Makes the contender ready, warmed up, until the end of the block, and gives the function that
            measures it.
        size: Where it stands on a curve, such as the number of subscribers; rows whose contenders all have one
            are drawn as a curve.
    """

    name: str
    open: Callable[[Bench], AbstractContextManager[Measure]]
    size: int | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is ours, so that its failure is ours too."""
        return self.name.startswith(OURS)


@dataclass(frozen=True, slots=True)
class Target:
    """A bound: the first contender may need at most `ratio` times what `peer`, another one, needs."""

    peer: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of work, and who does it.

    Args:
        name: What `--only` and `--json` call it.
        title: What the table calls it.
        unit: Of the figures, such as `µs of CPU`.
        contenders: Who does it; ours first.
        target: What the first contender shall reach; the row's ratio is against this peer. `None` where no peer
            does the same work.
        limit: How far the first contender may go at all, in the unit.
        limits: How far its details may go, by their names.
    """

    name: str
    title: str
    unit: str
    contenders: tuple[Contender, ...]
    target: Target | None
    limit: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)


def measure_alone(measure: Callable[[Bench], Sample]) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a contender that starts all it needs anew for each sample."""

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        yield lambda: measure(bench)

    return open_contender
