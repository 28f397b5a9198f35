"""Compares nitropy-kit with its peers: `python -m tests.benchmarks`.

The peers are installed into a folder of their own at the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.catalogue import load_rows
from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.harness import Result, run_row
from tests.benchmarks.installs import install_peers
from tests.benchmarks.machine import describe_machine, list_versions
from tests.benchmarks.report import describe_results, format_machine, format_markdown, format_table
from tests.benchmarks.rows import Bench, Row
from tests.checkout import ROOT

OUTPUT = ROOT / "reports/benchmarks"
# Shared by all checkouts.
INSTALLS = Path.home() / ".cache/nitropy-kit-benchmarks"
ROUNDS = 7
QUICK_ROUNDS = 3
# What the table stands between in the README.
MARKS = ("<!-- benchmarks -->", "<!-- /benchmarks -->")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows that were asked for, and reports them; 1 when something of ours failed to run."""
    rows = load_rows()
    options = read_arguments([row.name for row in rows], arguments)
    raise_file_limit()
    end_like_interrupted()
    status = compare([row for row in rows if not options.only or row.name in options.only], options)
    try:
        draw_chart(options)
    except BenchmarkError as error:
        print(f"error: no chart: {error}", file=sys.stderr)
        return 1
    return status


def compare(rows: Sequence[Row], options: argparse.Namespace) -> int:
    """Run rows and reports them; return the status to end with."""
    results = run_rows(rows, make_bench(options), options)
    report(results, options)
    failed = [o for result in results for o in result.outcomes if o.failure and o.contender.is_ours]
    return 1 if failed else 0


def read_arguments(names: Sequence[str], arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks", description="Compare nitropy-kit with its peers."
    )
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=names, help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds, for a first look")
    parser.add_argument("--json", action="store_true", help="one object on standard output, in place of the table")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the README's table into a file")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=OUTPUT, help="results, chart and logs")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", default=INSTALLS, help="where peers are installed")
    return parser.parse_args(arguments)


def make_bench(options: argparse.Namespace) -> Bench:
    """Return servers and load clients a core each, where there are two."""
    folder = options.output.absolute() / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("warning: servers and load clients share the only core", file=sys.stderr)
    return Bench(
        folder=folder,
        installs=options.peers.absolute(),
        quick=options.quick,
        server_core=cores[-1],
        load_core=cores[0],
    )


def run_rows(rows: Sequence[Row], bench: Bench, options: argparse.Namespace) -> list[Result]:
    """Run the rows one after the other, and print each table as soon as it stands."""
    results = []
    for row in rows:
        print(f"Running {row.name} …", file=sys.stderr)
        results.append(run_row(row, bench, QUICK_ROUNDS if options.quick else ROUNDS))
        print(format_table(results[-1]), file=sys.stderr if options.json else sys.stdout, flush=True)
    return results


def report(results: Sequence[Result], options: argparse.Namespace) -> None:
    """Write what was asked for, and the results as JSON into the output folder."""
    machine, versions = describe_machine(), list_versions()
    found = {**machine, "versions": versions, "rows": describe_results(results)}
    text = json.dumps(found, indent=2, ensure_ascii=False)
    (options.output / "results.json").write_text(text + "\n", encoding="utf-8")
    if options.markdown:
        write_markdown(options.markdown, format_markdown(results, machine, versions))
    print(text if options.json else f"Measured on {format_machine(machine)}.")


def write_markdown(file: Path, table: str) -> None:
    """Write a table into a file, between its two marks if it has them, as the README does."""
    start, end = MARKS
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if start in text:
        before, _, rest = text.partition(start)
        table = f"{before}{start}\n{table}{end}{rest.partition(end)[2]}"
    file.write_text(table, encoding="utf-8")


def draw_chart(options: argparse.Namespace) -> None:
    """Draw the results, in an environment that has what it takes."""
    python = install_peers("chart", options.peers.absolute()).python
    chart = Path(__file__).with_name("chart.py")
    command = [python, chart, options.output / "results.json", options.output / "chart.png"]
    drawn = subprocess.run(command, capture_output=True, text=True, check=False)
    if drawn.returncode != 0:
        raise BenchmarkError(drawn.stderr)
    print(f"The chart is {options.output / 'chart.png'}.", file=sys.stderr)


def end_like_interrupted() -> None:
    """End this process on SIGTERM as on Ctrl+C: what it has started is stopped, too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def raise_file_limit() -> None:
    """Let this process and its children open as many files as they may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    raise SystemExit(main())
