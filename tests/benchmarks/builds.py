"""Rows about builds: projects with few routes and with many, built from nothing, without dependencies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.rows import OURS, Bench, Contender, Measure, Row, Sample, Target
from tests.bundles import clean_environment, write_files
from tests.checkout import ROOT

NITRO = "nitro 2"
# How long one build may take, in seconds.
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Builder:
    """One way to build a project.

    Args:
        write: Gives the files of a project with so many routes.
        prepare: Makes the project ready, and gives the command line.
        leftovers: What an earlier build has left, relative to the project.
        proof: The built file, relative to the project, that names every route.
    """

    write: Callable[[int], Mapping[str, str]]
    prepare: Callable[[Bench, Path], list[str | Path]]
    leftovers: tuple[str, ...]
    proof: str


def name_routes(count: int) -> list[str]:
    """Name the routes of a project."""
    return [f"area{number}" for number in range(count)]


def write_ours(count: int) -> Mapping[str, str]:
    """Return a project of ours."""
    text = """
        from nitro_py import Event, define_handler


        @define_handler
        async def handler(event: Event) -> dict[str, str]:
            return {"message": "hello"}
    """
    routes = {f"handlers/{name}.get.py": text for name in name_routes(count)}
    return {"pyproject.toml": "[tool.nitropy]\n", **routes}


def write_nitro_2(count: int) -> Mapping[str, str]:
    """Return a project for nitro 2."""
    text = 'export default defineEventHandler(() => ({ message: "hello" }));\n'
    return {
        "package.json": '{"private": true, "type": "module"}\n',
        "nitro.config.ts": 'export default defineNitroConfig({ compatibilityDate: "2026-01-01" });\n',
        **{f"routes/{name}.get.ts": text for name in name_routes(count)},
    }


def write_nitro_3(count: int) -> Mapping[str, str]:
    """Return a project for nitro 3."""
    text = """
        import { defineEventHandler } from "h3";
        export default defineEventHandler(() => ({ message: "hello" }));
    """
    return {
        "package.json": '{"private": true, "type": "module"}\n',
        "nitro.config.mjs": 'export default { compatibilityDate: "2026-01-01" };\n',
        **{f"routes/{name}.get.ts": text for name in name_routes(count)},
    }


def write_chalice(count: int) -> Mapping[str, str]:
    """Return a project for chalice."""
    answer = '    return {"message": "hello"}\n'
    functions = "".join(f'\n\n@app.route("/{name}")\ndef {name}():\n{answer}' for name in name_routes(count))
    stages = {"dev": {"api_gateway_stage": "api"}}
    return {
        ".chalice/config.json": json.dumps({"version": "2.0", "app_name": "bench", "stages": stages}),
        "requirements.txt": "",
        "app.py": f'from chalice import Chalice\n\napp = Chalice(app_name="bench")\n{functions}',
    }


def prepare_ours(bench: Bench, project: Path) -> list[str | Path]:
    """Return our command."""
    return [Path(sys.executable).with_name("nitropy"), "build", "--preset", "asgi"]


def prepare_nitro(name: str) -> Callable[[Bench, Path], list[str | Path]]:
    """Make the `prepare` of a nitro, which looks for its packages beside the project."""

    def prepare(bench: Bench, project: Path) -> list[str | Path]:
        modules = bench.install(name).modules
        (project / "node_modules").symlink_to(modules)
        return ["node", modules / ".bin/nitro", "build"]

    return prepare


def prepare_chalice(bench: Bench, project: Path) -> list[str | Path]:
    """Return chalice's command."""
    return [bench.install("chalice").python.with_name("chalice"), "package", "out"]


OUTPUT = (".output", ".nitro")
CHUNK = ".output/server/chunks/nitro/nitro.mjs"
BUILDERS = {
    OURS: Builder(write_ours, prepare_ours, OUTPUT, ".output/server/manifest.json"),
    NITRO: Builder(write_nitro_2, prepare_nitro("nitro"), OUTPUT, CHUNK),
    "nitro 3": Builder(write_nitro_3, prepare_nitro("nitro-3"), OUTPUT, CHUNK),
    "chalice package": Builder(write_chalice, prepare_chalice, ("out", ".chalice/deployments"), "out/sam.json"),
}


def open_build(builder: Builder, routes: int) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a contender that builds so many routes."""

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        project = bench.folder / f"build-{routes}" / builder.write.__name__
        write_files(project, builder.write(routes))
        command = builder.prepare(bench, project)

        def measure() -> Sample:
            for name in builder.leftovers:
                shutil.rmtree(project / name, ignore_errors=True)
            found = run_build(command, project)
            built = (project / builder.proof).read_text(encoding="utf-8")
            missing = [name for name in name_routes(routes) if f"/{name}" not in built]
            if missing:
                raise BenchmarkError(f"`{builder.proof}` lacks {len(missing)} routes, such as `{missing[0]}`.")
            return Sample(found["cpu"], {"wall": found["wall"]})

        # The first build compiles byte code, or fills caches.
        measure()
        yield measure

    return open_contender


def run_build(command: list[str | Path], project: Path) -> dict[str, float]:
    """Run a build on all cores, and return what it took, in seconds."""
    ran = subprocess.run(
        [sys.executable, ROOT / "tests/benchmarks/stopwatch.py", *command],
        cwd=project,
        # Chalice signs nothing here, but wants a region.
        env=clean_environment() | {"AWS_DEFAULT_REGION": "eu-central-1", "NODE_ENV": "production"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if ran.returncode != 0:
        raise BenchmarkError(f"`{' '.join(map(str, command))}` ended with {ran.returncode}:\n{ran.stderr}")
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def make_build_row(routes: int, target: Target, limit: float | None = None) -> Row:
    """Make a row that builds so many routes."""
    return Row(
        name=f"build-{routes}",
        title=f"build of {routes} routes",
        unit="s of CPU",
        contenders=tuple(Contender(name, open_build(builder, routes)) for name, builder in BUILDERS.items()),
        target=target,
        limit=limit,
    )


ROWS = (
    make_build_row(2, Target(NITRO, 1.0)),
    make_build_row(500, Target(NITRO, 0.25), limit=1.0),
)
