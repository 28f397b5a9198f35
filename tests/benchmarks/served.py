"""Contenders that are servers: a load program has them do some work, and their CPU is what counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.benchmarks.programs import open_load
from tests.benchmarks.rows import Bench, Contender, Measure, Sample
from tests.benchmarks.servers import Command, run_server


@dataclass(frozen=True, slots=True)
class Work:
    """What a server is made to do.

    Args:
        program: The load program.
        connect: What connects it to the server, but for the port.
        question: What has the work done.
        amount: The word in the question for how much.
        parts: Into how many parts each of that is counted, such as its deliveries.
        first: How much is done before anything is measured: in a full run, and in a quick one.
        measured: How much is done for a sample: in a full run, and in a quick one.
        check: A question that is asked once, on whether the server does it right.
        anew: Whether it is connected for each sample: servers close connections that were idle meanwhile.
    """

    program: str
    connect: Mapping[str, object]
    question: str
    amount: str
    parts: int
    first: tuple[int, int]
    measured: tuple[int, int]
    check: str | None = None
    anew: bool = False


def open_served(command: Command, work: Work) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a contender that is a server."""

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        with run_server(bench, command) as server, open_load(bench, work.program) as load:
            connect = {"do": "connect", "port": server.port, **work.connect}
            if not work.anew:
                load.ask(connect)
            if work.check is not None:
                load.ask({"do": work.check})

            def measure(amount: int) -> Sample:
                if work.anew:
                    load.ask(connect)
                before = server.read_cpu()
                answer = load.ask({"do": work.question, work.amount: amount})
                used = server.read_cpu() - before
                return Sample(used / amount / work.parts * 1e6, answer)

            measure(bench.scale(*work.first))
            yield lambda: measure(bench.scale(*work.measured))

    return open_contender


def list_served(commands: Mapping[str, Command], work: Work) -> tuple[Contender, ...]:
    """Make the contenders of a row that all do the same work."""
    return tuple(Contender(name, open_served(command, work)) for name, command in commands.items())
