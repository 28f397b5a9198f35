"""The benchmark's own machinery, on rows that take no time; no figure is judged here."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from websockets.sync.server import ServerConnection, serve

from tests.benchmarks.__main__ import compare, draw_chart, make_bench, read_arguments, write_markdown
from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.harness import run_row
from tests.benchmarks.meters import read_cpu, read_memory
from tests.benchmarks.programs import open_load, open_program
from tests.benchmarks.report import format_markdown, format_table
from tests.benchmarks.rows import OURS, Bench, Contender, Measure, Row, Sample, Target
from tests.checkout import ROOT

# Answers each question with the next of the figures on its command line, and ends when there are no more.
CLERK = """
import sys
for figure in sys.argv[1:]:
    sys.stdin.readline()
    print('{"figure": %s, "load": 0.5}' % figure, flush=True)
"""
MACHINE = {"date": "2026-01-01", "processor": "1 core", "system": "Linux 6", "python": "3.11", "node": "20"}

# Starts a child, tells its process id, and waits.
HOLDER = """
import sys
from tests.benchmarks.__main__ import end_like_interrupted
from tests.benchmarks.programs import open_program

end_like_interrupted()
with open_program(["sleep", "60"], core=0) as program:
    print(program.process.pid, flush=True)
    sys.stdin.read()
"""

Open = Callable[[Bench], AbstractContextManager[Measure]]


@pytest.fixture
def options(tmp_path: Path) -> argparse.Namespace:
    return read_arguments(["tiny"], ["--quick", "--json", "--output", str(tmp_path)])


@pytest.fixture
def bench(options: argparse.Namespace) -> Bench:
    return make_bench(options)


def open_clerk(*figures: float, turns: list[str] | None = None, name: str = "") -> Open:
    """Make a contender that is a process and gives these figures."""

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        command = [sys.executable, "-c", CLERK, *map(str, figures)]
        with open_program(command, core=bench.server_core) as program:

            def measure() -> Sample:
                if turns is not None:
                    turns.append(name)
                answer = program.ask({})
                return Sample(answer["figure"], {"load": answer["load"]})

            yield measure

    return open_contender


@contextmanager
def open_nothing(bench: Bench) -> Iterator[Measure]:
    """Fail, as a contender that does not start."""
    raise BenchmarkError("It does not start.")
    yield


def make_row(*contenders: tuple[str, Open], ratio: float = 0.5) -> Row:
    """Make a row whose target is the second contender."""
    named = tuple(Contender(name, open) for name, open in contenders)
    return Row("tiny", "a tiny row", "µs", named, Target(named[1].name, ratio))


def test_contenders_take_turns_and_medians_are_compared(bench: Bench) -> None:
    turns: list[str] = []
    figures = {OURS: (1, 9, 2), "b": (4, 3, 40), "c": (7, 7, 7)}
    row = make_row(*((name, open_clerk(*figures[name], turns=turns, name=name)) for name in figures))
    result = run_row(row, bench, 3)
    assert turns == [OURS, "b", "c", "c", "b", OURS, OURS, "b", "c"]
    assert [outcome.median for outcome in result.outcomes] == [2, 4, 7]
    assert (result.ratio, result.met) == (0.5, True)
    assert result.outcomes[0].details == {"load": 0.5}


def test_contender_that_fails_does_not_stop_the_others(
    bench: Bench, options: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    row = make_row((OURS, open_clerk(1, 1, 1)), ("absent", open_nothing), ("dies", open_clerk(1)))
    result = run_row(row, bench, 3)
    ours, absent, dies = result.outcomes
    assert (ours.median, absent.median, dies.median) == (1, None, None)
    assert absent.failure == "It does not start."
    assert "ended with status 0" in (dies.failure or "")
    assert (result.ratio, result.met) == (None, None)
    assert "failed: It does not start." in format_table(result)
    assert compare([row], options) == 0
    assert "dies failed" in capsys.readouterr().err


def test_only_what_is_ours_fails_the_run(options: argparse.Namespace) -> None:
    assert compare([make_row((OURS, open_nothing), ("b", open_clerk(1, 1, 1)))], options) == 1
    assert compare([make_row((OURS, open_clerk(9, 9, 9)), ("b", open_clerk(1, 1, 1)))], options) == 0


def test_report_is_one_object(options: argparse.Namespace, capsys: pytest.CaptureFixture[str]) -> None:
    compare([make_row((OURS, open_clerk(3, 3, 3)), ("b", open_clerk(4, 4, 4)))], options)
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found == json.loads((options.output / "results.json").read_text())
    row = found["rows"]["tiny"]
    assert (row["ratio"], row["peer"], row["target"], row["met"]) == (0.75, "b", 0.5, False)
    assert row["contenders"]["b"]["samples"] == [4, 4, 4]
    assert found["versions"]["nitropy-kit"]
    assert "MISSED: 0.75" in printed.err


def test_table_for_the_readme_shows_losses(bench: Bench) -> None:
    missed = run_row(make_row((OURS, open_clerk(3)), ("b", open_clerk(4)), ("c", open_nothing)), bench, 1)
    text = format_markdown([missed], MACHINE, {"b": "1.0"})
    assert "| a tiny row | µs | 3 | 0.75 | 0.5 of b: **missed** | b: 4; c: failed |" in text
    assert "b 1.0" in text


def test_table_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("# Title\n\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\n\n## Next\n")
    write_markdown(file, "new\n")
    assert file.read_text() == "# Title\n\n<!-- benchmarks -->\nnew\n<!-- /benchmarks -->\n\n## Next\n"
    write_markdown(tmp_path / "alone.md", "new\n")
    assert (tmp_path / "alone.md").read_text() == "new\n"


def test_busy_load_client_is_warned_of(bench: Bench) -> None:
    @contextmanager
    def open_busy(bench: Bench) -> Iterator[Measure]:
        yield lambda: Sample(1, {"load": 0.95})

    result = run_row(make_row((OURS, open_busy), ("b", open_clerk(1))), bench, 1)
    assert "warning: the load client of nitropy-kit was busy for 0.95" in format_table(result)


def test_limit_is_part_of_the_target(bench: Bench) -> None:
    contenders = (Contender(OURS, open_clerk(3)), Contender("b", open_clerk(10)))
    row = Row("tiny", "a tiny row", "s", contenders, Target("b", 0.5), limit=2.0)
    assert run_row(row, bench, 1).met is False


def test_table_for_the_readme_shows_what_else_has_a_limit(bench: Bench) -> None:
    contenders = (Contender(OURS, open_clerk(3)), Contender("b", open_clerk(10)), Contender("c", open_nothing))
    row = Row("tiny", "a tiny row", "s", contenders, Target("b", 0.5), limits={"load": 0.6})
    text = format_markdown([run_row(row, bench, 1)], MACHINE, {})
    assert "| 3, load 0.5 | 0.30 | 0.5 of b, load 0.6: met | b: 10, load 0.5; c: failed |" in text


def test_row_without_a_peer_shows_its_figures_alone(bench: Bench) -> None:
    result = run_row(Row("tiny", "a tiny row", "s", (Contender(OURS, open_clerk(3)),), None), bench, 1)
    assert (result.ratio, result.met) == (None, None)
    assert "no peer does the same" in format_table(result)
    assert "| a tiny row | s | 3 | - | - |  |" in format_markdown([result], MACHINE, {})


def test_meters_count_descendants(bench: Bench) -> None:
    child = (
        "import time; held = b'x' * 40_000_000\nwhile time.process_time() < 0.3: pass\nprint(flush=True); input()"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    assert read_cpu(process.pid) >= 0.3
    assert read_memory(process.pid) >= 40_000_000
    process.communicate("\n")
    with pytest.raises(BenchmarkError):
        read_cpu(process.pid)


def test_run_that_is_ended_leaves_nothing_behind() -> None:
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        holder.terminate()
        assert holder.wait(60) != 0
    assert not Path(f"/proc/{child}").exists()


def test_stopwatch_waits_for_orphans(tmp_path: Path) -> None:
    burn = tmp_path / "burn.py"
    burn.write_text("import time\nwhile time.process_time() < 0.3: pass\n")
    stopwatch = ROOT / "tests/benchmarks/stopwatch.py"
    command: list[str | Path] = [sys.executable, stopwatch, "sh", "-c", f"{sys.executable} {burn} & exit 3"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 3
    assert json.loads(ran.stdout)["cpu"] >= 0.3


@contextmanager
def serve_echo(reply: Callable[[str], list[str]]) -> Iterator[int]:
    """Serve sockets that answer each message with some of their own."""

    def handle(connection: ServerConnection) -> None:
        connection.send("ready")
        for message in connection:
            for text in reply(str(message)):
                connection.send(text)

    with serve(handle, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join()


def test_load_client_gets_every_echo(bench: Bench) -> None:
    with serve_echo(lambda text: [text]) as port, open_load(bench, "sockets") as load:
        load.ask({"do": "connect", "port": port, "path": "/", "count": 3})
        load.ask({"do": "check_echo"})
        assert set(load.ask({"do": "echo", "messages": 5})) == {"wall", "load"}


def test_load_client_notices_a_wrong_echo(bench: Bench) -> None:
    with serve_echo(lambda text: [text.upper()]) as port, open_load(bench, "sockets") as load:
        load.ask({"do": "connect", "port": port, "path": "/", "count": 3})
        with pytest.raises(BenchmarkError, match="received"):
            load.ask({"do": "check_echo"})


def test_load_client_notices_bytes_too_many(bench: Bench) -> None:
    with serve_echo(lambda text: [f"{text}!"]) as port, open_load(bench, "sockets") as load:
        load.ask({"do": "connect", "port": port, "path": "/", "count": 3})
        with pytest.raises(BenchmarkError, match="received 335 bytes, not 330"):
            load.ask({"do": "echo", "messages": 5})


def test_chart_is_drawn(options: argparse.Namespace) -> None:
    compare([make_row((OURS, open_clerk(3, 3, 3)), ("b", open_nothing))], options)
    options.peers = options.output / "peers"
    draw_chart(options)
    assert (options.output / "chart.png").read_bytes().startswith(b"\x89PNG")
