"""Results for readers: a table for the terminal, one for the README, and one object for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.harness import Outcome, Result
from tests.benchmarks.rows import Row

# A load client that is busier than this, in parts of a core, may be what is measured.
BUSIEST = 0.9


def describe_results(results: Sequence[Result]) -> dict[str, Any]:
    """Return the rows as one object of plain data."""
    return {result.row.name: _describe(result) for result in results}


def _describe(result: Result) -> dict[str, Any]:
    row = result.row
    return {
        "title": row.title,
        "unit": row.unit,
        "ratio": result.ratio,
        "peer": row.target and row.target.peer,
        "target": row.target and row.target.ratio,
        "limit": row.limit,
        "met": result.met,
        "contenders": {
            outcome.contender.name: {
                "median": outcome.median,
                "samples": [sample.value for sample in outcome.samples],
                "details": outcome.details,
                "size": outcome.contender.size,
                "failure": outcome.failure,
            }
            for outcome in result.outcomes
        },
    }


def format_machine(machine: Mapping[str, str]) -> str:
    """Return when and where figures were taken."""
    return (
        f"{machine['date']}, {machine['processor']}, {machine['system']}, "
        f"Python {machine['python']}, node {machine['node']}"
    )


def format_table(result: Result) -> str:
    """Return a row's table: each contender with its median, its spread and its part of the peer's."""
    row = result.row
    peer = result.peer.median if result.peer else None
    width = max(len(outcome.contender.name) for outcome in result.outcomes)
    compared = f"; ratio to {row.target.peer}" if row.target else ""
    lines = [f"{row.name}: {row.title}, {row.unit}{compared}"]
    for outcome in result.outcomes:
        lines.append(f"  {outcome.contender.name:<{width}}  {_format_outcome(outcome, peer)}")
    lines.append(f"  {format_verdict(result)}")
    lines += [f"  warning: {warning}" for warning in list_warnings(result)]
    return "\n".join(lines)


def format_verdict(result: Result) -> str:
    """Return whether the target was reached."""
    if result.row.target is None:
        return "no peer does the same"
    goal = f"at most {_format_goal(result.row)}"
    if result.ratio is None:
        return f"no ratio; the target is {goal}"
    return f"{'met' if result.met else 'MISSED'}: {result.ratio:.2f}; the target is {goal}"


def list_warnings(result: Result) -> list[str]:
    """List the contenders whose figure may be their load client's."""
    return [
        f"the load client of {outcome.contender.name} was busy for {load:.2f} of its core"
        for outcome in result.outcomes
        if (load := outcome.details.get("load", 0.0)) > BUSIEST
    ]


def format_markdown(results: Sequence[Result], machine: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """Return the README's table with the day, the machine's class and the versions."""
    named = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    lines = [
        f"Measured on {format_machine(machine)}: {named}.",
        "",
        "| work | unit | nitropy-kit | ratio | target | others |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_format_markdown_row(result) for result in results]
    return "\n".join(lines) + "\n"


def _format_markdown_row(result: Result) -> str:
    row = result.row
    ours, *others = result.outcomes
    ratio = "-" if result.ratio is None else f"{result.ratio:.2f}"
    target = f"{_format_goal(row)}: {'met' if result.met else '**missed**'}" if row.target else "-"
    named = "; ".join(f"{outcome.contender.name}: {_format_figures(outcome, row)}" for outcome in others)
    return f"| {row.title} | {row.unit} | {_format_figures(ours, row)} | {ratio} | {target} | {named} |"


def _format_figures(outcome: Outcome, row: Row) -> str:
    """Return the figure of an outcome, and the details that have a limit."""
    figures = [format_figure(outcome.median)]
    if outcome.median is not None:
        figures += [f"{name} {format_figure(outcome.details[name])}" for name in row.limits]
    return ", ".join(figures)


def _format_goal(row: Row) -> str:
    """Return the most that the first contender may need."""
    assert row.target is not None
    goal = f"{row.target.ratio:.3g} of {row.target.peer}"
    goal = goal if row.limit is None else f"{goal} and {row.limit:g} {row.unit}"
    return goal + "".join(f", {name} {most:g}" for name, most in row.limits.items())


def format_figure(value: float | None) -> str:
    """Return three digits of a figure.

    Example:
        >>> format_figure(5.678), format_figure(1234.5), format_figure(None)
        ('5.68', '1,234', 'failed')
    """
    if value is None:
        return "failed"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _format_outcome(outcome: Outcome, peer: float | None) -> str:
    median = outcome.median
    if median is None:
        return f"failed: {(outcome.failure or '').splitlines()[0]}"
    values = [sample.value for sample in outcome.samples]
    spread = f"{format_figure(min(values))}-{format_figure(max(values))}"
    ratio = f"{median / peer:.2f}" if peer else "-"
    details = ", ".join(f"{name} {value:.2f}" for name, value in outcome.details.items())
    return f"{format_figure(median):>7}  ({spread:^13})  {ratio:>6}  {details}".rstrip()
