"""Rows about warm Lambda functions: an HTTP event, with few routes and with many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.functions import build_routes, make_command, make_http_event, make_rest_event
from tests.benchmarks.programs import open_program
from tests.benchmarks.rows import OURS, Bench, Contender, Measure, Row, Sample, Target
from tests.benchmarks.servers import PEERS

STARLETTE = "Starlette + Mangum"


def open_function(
    module: str,
    routes: int,
    *,
    find: Callable[[Bench, int], Path] = lambda bench, routes: PEERS,
    make_event: Callable[[str], dict[str, Any]] = make_http_event,
) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a contender that calls a function over and over.

    Args:
        module: The function's module, which has a `handler`.
        routes: How many there are; the last one is asked for, which frameworks find last that try one by one.
        find: Gives the folder of the module.
        make_event: Makes the event of the gateway that the function is written for.
    """

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        event = make_event(f"/route{routes - 1}")
        command = make_command(bench, find(bench, routes), module, event, "serve")
        with open_program(command, core=bench.server_core, environ={"ROUTES": str(routes)}) as program:
            program.read()

            def measure(events: int) -> Sample:
                return Sample(program.ask({"count": events})["cpu"] / events * 1e6)

            measure(bench.scale(2_000, 1_000))
            yield lambda: measure(bench.scale(10_000, 3_000))

    return open_contender


def make_row(routes: int, ratio: float) -> Row:
    """Make the row for so many routes."""
    return Row(
        name=f"lambda-warm-{routes}",
        title=f"warm Lambda HTTP event, {routes} route{'s' if routes > 1 else ''}",
        unit="µs of CPU",
        contenders=(
            Contender(OURS, open_function("nitro_http", routes, find=build_routes)),
            Contender(STARLETTE, open_function("lambda_starlette", routes)),
            Contender("FastAPI + Mangum", open_function("lambda_fastapi", routes)),
            Contender("Powertools", open_function("lambda_powertools", routes)),
            Contender("Chalice", open_function("lambda_chalice", routes, make_event=make_rest_event)),
            Contender("bare function", open_function("lambda_bare", routes)),
        ),
        target=Target(STARLETTE, ratio),
    )


ROWS = (make_row(1, 0.5), make_row(50, 0.25))
