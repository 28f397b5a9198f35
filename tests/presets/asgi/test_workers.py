"""Several processes of a bundle on one port, and the parent that watches them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from nitro_py.build.pipeline import write_plan
from tests.bundles import (
    PATIENCE,
    Server,
    build_project,
    copy_demo,
    plan_project,
    run_bundle,
    run_refused,
    write_files,
)
from tests.process_states import is_alive

PID = """
    import os

    from nitro_py import Event, define_handler

    @define_handler
    def handler(event: Event) -> int:
        return os.getpid()
    """
PROJECT = {
    "handlers/pid.get.py": PID,
    "handlers/plugins/start.py": """
        import os
        from collections.abc import AsyncIterator

        from nitro_py import define_plugin

        @define_plugin
        async def start() -> AsyncIterator[None]:
            if os.path.exists(os.environ.get("BROKEN", "")):
                os._exit(7)
            yield
            # One write: unbuffered, `print` makes one of each part, and the workers' parts may mix.
            print(f"stopped {os.getpid()}\\n", end="", flush=True)
        """,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a project without topics, whose processes need no backplane."""
    return build_project(write_files(tmp_path_factory.mktemp("workers"), PROJECT))


@contextmanager
def run_workers(bundle: Path, count: int, **environ: str) -> Iterator[Server]:
    """Run a bundle in some processes."""
    with run_bundle(bundle, "--port", "0", "--workers", str(count), environ=environ) as server:
        yield server


def ask_pid(server: Server) -> int:
    """Ask whichever process takes a new connection for its id."""
    # Nothing here speaks TLS, whose certificates take long to load.
    pid: int = httpx.get(f"{server.url}/pid", timeout=PATIENCE, verify=False, trust_env=False).json()
    return pid


def find_workers(server: Server, count: int) -> set[int]:
    """Ask until so many processes have answered, and return their ids."""
    found: set[int] = set()
    until(lambda: len(found) >= count, lambda: found.add(ask_pid(server)))
    return found


def until(good: Callable[[], bool], act: Callable[[], object] = lambda: None) -> None:
    """Act again and again until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not good():
        assert time.monotonic() < deadline, f"Waited {PATIENCE:g} s in vain."
        act()
        time.sleep(0.02)


def test_topics_need_a_backplane(tmp_path: Path) -> None:
    assert run_refused(build_project(copy_demo(tmp_path)), "--workers", "2") == (
        "error: 2 workers would not hear each other's topics: expected a backplane, got `memory`, which keeps "
        "them in one process.\n"
        '  hint: Build with `backplane = "redis"` or `"nats"`, and set `NITRO_BACKPLANE_URL=redis://HOST`.\n'
    )


def test_backplane_that_cannot_be_used_is_told_once(bundle: Path) -> None:
    told = run_refused(bundle, environ={"NITRO_WORKERS": "2", "NITRO_BACKPLANE": "redis"})
    assert told.startswith("error: The backplane `redis` has no URL.\n  hint: Set `NITRO_BACKPLANE_URL`")
    assert told.count("error") == 1
    told = run_refused(bundle, environ={"NITRO_BACKPLANE": "kafka"})
    assert told.startswith("error: Unknown backplane `kafka`")


@pytest.mark.parametrize("count", ["0", "-1", "x", "1.5"])
def test_count_must_be_one(bundle: Path, count: str) -> None:
    assert f"expected a number from 1 on, got `{count}`" in run_refused(bundle, f"--workers={count}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_workers_share_the_port_and_stop_in_peace(bundle: Path, number: signal.Signals) -> None:
    with run_bundle(bundle, environ={"NITRO_WORKERS": "2"}) as server:
        workers = find_workers(server, 2)
        # The parent serves nothing.
        assert server.process.pid not in workers
        server.process.send_signal(number)
        assert server.process.wait(PATIENCE) == 0
        assert not any(is_alive(pid) for pid in workers)
        assert all(f"stopped {pid}\n" in server.read_log() for pid in workers)
        with pytest.raises(httpx.TransportError):
            ask_pid(server)


def test_workers_of_a_container_are_the_same(tmp_path: Path) -> None:
    plan = plan_project(write_files(tmp_path, PROJECT), preset="container")
    write_plan(plan)
    with run_workers(plan.output, 2) as server:
        assert len(find_workers(server, 2) - {server.process.pid}) == 2
        server.stop()


def test_connections_that_stay_are_shared_out(bundle: Path) -> None:
    with run_workers(bundle, 2) as server, ExitStack() as stack:
        workers = find_workers(server, 2)
        counts = dict.fromkeys(workers, 0)

        def connect_more() -> None:
            for _ in range(40):
                client = stack.enter_context(httpx.Client(verify=False, trust_env=False, timeout=PATIENCE))
                counts[client.get(f"{server.url}/pid").json()] += 1

        connect_more()
        # Not always even: one that is busy for longer than the others wait misses its turn, and has more later.
        for _ in range(5):
            if min(counts.values()) < 0.3 * sum(counts.values()):
                connect_more()
        assert min(counts.values()) >= 0.3 * sum(counts.values()), counts


def test_worker_that_dies_is_replaced(bundle: Path) -> None:
    with run_workers(bundle, 2) as server:
        first, second = find_workers(server, 2)
        os.kill(first, signal.SIGKILL)
        # The other goes on at once.
        assert ask_pid(server) == second
        assert len(find_workers(server, 2) - {first}) == 2
        assert f"Worker {first} ended with status -9; another takes its place" in server.read_log()
        server.stop()


def test_worker_that_dies_at_once_is_given_time(bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    with run_workers(bundle, 2, BROKEN=str(broken)) as server:
        first, second = find_workers(server, 2)
        broken.touch()
        os.kill(first, signal.SIGKILL)
        until(lambda: "ended with status 7; another takes its place in 2 s" in server.read_log())
        assert [pause for pause in ("0.5 s", "1 s", "2 s") if f"place in {pause}." not in server.read_log()] == []
        assert ask_pid(server) == second
        broken.unlink()
        find_workers(server, 2)
        server.stop()


def test_app_that_cannot_start_ends_all(bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    with (
        pytest.raises(AssertionError, match="ended with status 7") as caught,
        run_workers(bundle, 2, BROKEN=str(broken)),
    ):
        pass
    assert "ended before it served, with status 7" in str(caught.value)


def test_workers_end_with_a_parent_that_was_killed(bundle: Path) -> None:
    with run_workers(bundle, 2) as server:
        workers = find_workers(server, 2)
        server.process.kill()
        server.process.wait()
        until(lambda: not any(is_alive(pid) for pid in workers))
        # In peace: their plugins were stopped.
        assert all(f"stopped {pid}\n" in server.read_log() for pid in workers)


def test_worker_that_hangs_does_not_keep_the_others_from_stopping(bundle: Path) -> None:
    with run_workers(bundle, 2, NITRO_SERVER__GRACE="5") as server:
        hanging, other = find_workers(server, 2)
        os.kill(hanging, signal.SIGSTOP)
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 128 + signal.SIGKILL
        assert not is_alive(hanging)
        assert f"Worker {hanging} has not stopped within its grace period." in server.read_log()
        assert f"stopped {other}\n" in server.read_log()
