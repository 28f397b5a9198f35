"""Rows about a developer's first day: what stands between a person and the next answer."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx

from tests.benchmarks.builds import NITRO, OUTPUT, prepare_nitro
from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.rows import OURS, Bench, Contender, Measure, Row, Sample, Target, measure_alone
from tests.benchmarks.servers import HOST, Command, run_server
from tests.bundles import write_files
from tests.first_day.day import run_day
from tests.ports import find_port

UVICORN = "uvicorn --reload"
# How long a saved change may take to be served, in seconds.
PATIENCE = 30.0
OUR_HANDLER = """
    from nitro_py import Event, define_handler


    @define_handler
    async def handler(event: Event) -> str:
        return "GREETING"
"""
STARLETTE_APP = """
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route


    async def hello(request):
        return PlainTextResponse("GREETING")


    app = Starlette(routes=[Route("/hello", hello)])
"""
NITRO_ROUTE = 'export default defineEventHandler(() => "GREETING");\n'
NITRO_FILES = {
    "package.json": '{"private": true, "type": "module"}\n',
    "nitro.config.ts": 'export default defineNitroConfig({ compatibilityDate: "2026-01-01" });\n',
}


def open_reload(
    name: str, files: Mapping[str, str], changed: str, command: Callable[[Path], Command]
) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a development server whose one handler is changed again and again.

    Args:
        name: The project's folder.
        files: What is in it; the handler answers `GREETING`.
        changed: The handler's file.
        command: Returns the server's command for the project's folder.
    """

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        project = write_files(bench.folder / name, files)
        handler = project / changed
        text = handler.read_text(encoding="utf-8")
        numbers = iter(range(1_000_000))
        with run_server(bench, command(project), {"NODE_ENV": "development"}) as server:

            def measure() -> Sample:
                greeting = f"hello {next(numbers)}"
                start = time.perf_counter()
                handler.write_text(text.replace("GREETING", greeting), encoding="utf-8")
                wait_for_greeting(f"http://{HOST}:{server.port}/hello", greeting, start + PATIENCE)
                return Sample(time.perf_counter() - start)

            # The first change finds caches empty.
            measure()
            yield measure

    return open_contender


def wait_for_greeting(url: str, greeting: str, deadline: float) -> None:
    """Ask until the answer is a greeting."""
    shown = "nothing"
    while time.perf_counter() < deadline:
        try:
            shown = httpx.get(url, timeout=PATIENCE).text
        except httpx.HTTPError as error:
            # A server that restarts may drop a request, or not listen.
            shown = repr(error)
        if shown == greeting:
            return
        time.sleep(0.005)
    raise BenchmarkError(f"`{url}` answered {shown[:200]!r}, not {greeting!r}.")


def serve_ours(project: Path) -> Command:
    """Return the command of our development server."""
    script = "import os, sys; os.chdir(sys.argv.pop(1)); from nitro_py.cli.main import main; sys.exit(main())"
    return lambda bench, port: [
        *(sys.executable, "-c", script, project, "dev"),
        *("--port", str(port), "--hmr-port", str(find_port())),
    ]


def serve_uvicorn(project: Path) -> Command:
    """Return the command of uvicorn that restarts at changes."""
    return lambda bench, port: [
        *(bench.install("servers").python, "-m", "uvicorn", "main:app", "--reload"),
        *("--app-dir", project, "--reload-dir", project, "--port", str(port)),
    ]


def serve_nitro(project: Path) -> Command:
    """Return the command of Nitro's development server."""

    def make_command(bench: Bench, port: int) -> list[str | Path]:
        for leftover in OUTPUT:
            shutil.rmtree(project / leftover, ignore_errors=True)
        node, program, _ = prepare_nitro("nitro")(bench, project)
        return [node, program, "dev", "--dir", project, "--port", str(port), "--host", HOST]

    return make_command


def measure_day(bench: Bench) -> Sample:
    """Spend a first day, as `python -m tests.first_day` does."""
    folder = bench.folder / "first-day"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    times: dict[str, float] = {**run_day(folder, bench.folder / "first-day-pictures")}
    return Sample(times.pop("clone to chat"), times)


ROWS = (
    Row(
        name="reload",
        title="a saved handler until its new answer",
        unit="s",
        contenders=(
            Contender(
                OURS,
                open_reload(
                    "reload-ours",
                    {"pyproject.toml": "[tool.nitropy]\n", "handlers/hello.get.py": OUR_HANDLER},
                    "handlers/hello.get.py",
                    serve_ours,
                ),
            ),
            Contender(
                UVICORN, open_reload("reload-uvicorn", {"main.py": STARLETTE_APP}, "main.py", serve_uvicorn)
            ),
            Contender(
                f"{NITRO} dev",
                open_reload(
                    "reload-nitro",
                    {**NITRO_FILES, "routes/hello.get.ts": NITRO_ROUTE},
                    "routes/hello.get.ts",
                    serve_nitro,
                ),
            ),
        ),
        target=Target(UVICORN, 1.0),
        limit=1.0,
    ),
    Row(
        name="first-day",
        title="first day: from the clone to a chat in the browser",
        unit="s",
        contenders=(Contender(OURS, measure_alone(measure_day)),),
        target=None,
    ),
)
