"""The servers that are measured: ours as a built bundle, and the peers as their own documentation starts them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.meters import read_cpu, read_memory
from tests.benchmarks.programs import pin, stop
from tests.benchmarks.rows import Bench
from tests.bundles import clean_environment, write_files

PEERS = Path(__file__).with_name("peers")
# How long a server may take until it listens, in seconds.
PATIENCE = 20.0
HOST = "127.0.0.1"

# hypercorn has no option for the folder of the application.
HYPERCORN = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from hypercorn.__main__ import main; sys.exit(main())"
)

# Gives the command line for a port.
Command = Callable[[Bench, int], Sequence[str | Path]]


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs.

    Args:
        pid: Its first process.
        port: Where it listens on 127.0.0.1.
    """

    pid: int
    port: int

    def read_cpu(self) -> float:
        """Return the CPU time that it has used, children included, in seconds."""
        return read_cpu(self.pid)

    def read_memory(self) -> int:
        """Return the memory that it has, children included, in bytes."""
        return read_memory(self.pid)


@contextmanager
def run_server(bench: Bench, command: Command, environ: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a server on the server's core until the end of the block, from when it takes connections.

    Raises:
        BenchmarkError: It ended, or does not listen.
    """
    port = _find_port()
    words = [str(word) for word in command(bench, port)]
    log = bench.folder / f"server-{port}.log"
    with log.open("wb") as output, pin(bench.server_core):
        process = subprocess.Popen(
            words,
            cwd=bench.folder,
            env=clean_environment() | {"NODE_ENV": "production"} | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_it_listens(process, port, words, log)
        yield Server(process.pid, port)
    finally:
        stop(process)


def on_bundle(name: str, files: Mapping[str, str]) -> Command:
    """Return the command that runs a project of ours, built as a user does when it is first run.

    Args:
        name: The project's folder.
        files: What is in it.
    """

    def make_command(bench: Bench, port: int) -> Sequence[str | Path]:
        project = bench.folder / name
        if not project.exists():
            _build(write_files(project, files))
        return [sys.executable, project / ".output/server", "--port", str(port)]

    return make_command


def on_node(script: str, *arguments: str) -> Command:
    """Return the command that runs one of the peers on node."""

    def make_command(bench: Bench, port: int) -> Sequence[str | Path]:
        node = shutil.which("node")
        if node is None:
            raise BenchmarkError("`node` is not on the PATH.")
        folder = bench.folder / "node"
        folder.mkdir(exist_ok=True)
        # Node looks for packages from where the script is.
        if not (modules := folder / "node_modules").is_symlink():
            modules.symlink_to(bench.install("node").modules)
        return [node, shutil.copy(PEERS / script, folder), *arguments, str(port)]

    return make_command


def on_python(script: str, *arguments: str) -> Command:
    """Return the command that runs a peer that is a server itself."""
    return lambda bench, port: [bench.install("servers").python, PEERS / script, *arguments, str(port)]


def on_uvicorn(app: str, *arguments: str) -> Command:
    """Return the command that runs a peer's application on uvicorn, as fast as uvicorn goes."""
    return lambda bench, port: [
        *(bench.install("servers").python, "-m", "uvicorn", app, "--app-dir", PEERS, "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio", "--no-access-log"),
        *arguments,
    ]


def on_hypercorn(app: str) -> Command:
    """Return the command that runs a peer's application on hypercorn."""
    return lambda bench, port: [
        *(bench.install("servers").python, "-c", HYPERCORN, PEERS),
        *("--worker-class", "uvloop", "--bind", f"{HOST}:{port}", app),
    ]


def on_granian(app: str) -> Command:
    """Return the command that runs a peer's application on granian."""
    return lambda bench, port: [
        *(bench.install("servers").python.with_name("granian"), "--interface", "asgi", "--loop", "uvloop"),
        *("--working-dir", PEERS, "--port", str(port), "--no-access-log", app),
    ]


def _build(project: Path) -> None:
    command: list[str | Path] = [Path(sys.executable).with_name("nitropy"), "build", "--preset", "asgi"]
    built = subprocess.run(
        command, cwd=project, env=clean_environment(), capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        raise BenchmarkError(f"`nitropy build` ended with {built.returncode}:\n{built.stdout}{built.stderr}")


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, command: list[str], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)
    state = "does not listen" if process.poll() is None else f"ended with status {process.returncode}"
    text = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise BenchmarkError(f"`{' '.join(command)}` {state}; it printed:\n{text}")
