"""The steps of `docs/first-app.md`, taken as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.bundles import Server, clean_environment, run_server
from tests.checkout import ROOT
from tests.docs.pages import FENCE, read_page
from tests.ports import find_port

PAGE = "docs/first-app.md"
FILE = re.compile(r"Write `([^`]+)`:$")
ADDRESS = re.compile(r"[Oo]pen <http://127\.0\.0\.1:3000(/[^>]+)>\. It answers `([^`]+)`")
SERVERS = ("nitropy dev", "nitropy preview")


@dataclass(frozen=True, slots=True)
class Step:
    """One block of the page, with what stands before it.

    Args:
        heading: The number of the section.
        file: The file that the reader writes, if it is one.
        text: The file's content, or the commands.
        answers: Paths that the reader opens after it, and what they answer.
    """

    heading: int
    file: str | None
    text: str
    answers: tuple[tuple[str, str], ...]


def read_steps() -> list[Step]:
    """Read the steps of the page, in order; blocks of `text` are for machines that have Docker."""
    page = read_page(PAGE)
    found = [match for match in FENCE.finditer(page) if match[1] != "text"]
    steps = []
    for match, end in zip(found, [*(match.start() for match in found[1:]), len(page)], strict=True):
        before = page[: match.start()].rstrip()
        heading = int(re.findall(r"^## (\d)\.", before, re.MULTILINE)[-1])
        named = FILE.search(before)
        assert (match[1] == "sh") == (named is None), before[-200:]
        answers = tuple(ADDRESS.findall(page[match.end() : end]))
        steps.append(Step(heading, named and named[1], match[2], answers))
    return steps


def write_step(folder: Path, step: Step) -> None:
    """Write the file of a step."""
    assert step.file is not None
    path = folder / step.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(step.text, encoding="utf-8")


def run_step(folder: Path, step: Step, environ: Mapping[str, str]) -> str:
    """Run the commands of a step in the reader's environment, and return what they print."""
    done = subprocess.run(
        ["bash", "-euc", enter(step.text.replace("PATH", str(ROOT)))],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def serve_step(folder: Path, step: Step, environ: Mapping[str, str]) -> Iterator[Server]:
    """Run the server of a step on a free port, and check what its paths answer."""
    command = ["bash", "-euc", enter(f"exec {step.text}")]
    with run_server(command, log=folder.with_name("server.log"), cwd=folder, environ=environ) as server:
        for path, answer in step.answers:
            assert httpx.get(server.url + path).text == answer
        yield server


def make_environment(**more: str) -> dict[str, str]:
    """Return the environment of a reader whose port 3000 may be taken."""
    ports = {name: str(find_port()) for name in ("PORT", "NITRO_DEV__PORT", "NITRO_DEV__HMR__PORT")}
    return {**clean_environment(), **ports, **more}


def enter(commands: str) -> str:
    """Return commands as they run in a shell whose virtual environment is active, if there is one."""
    return f"if [ -e .venv/bin/activate ]; then . .venv/bin/activate; fi\n{commands}"


def search_programs(folder: Path) -> str:
    """Return a search path that begins with a folder of programs."""
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
