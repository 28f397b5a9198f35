"""Several processes of a bundle on one port, and the parent that watches them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
    clean_environment,
    copy_demo,
    plan_project,
    run_bundle,
    run_refused,
    write_files,
)
from tests.process_states import is_alive, list_children, read_command

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


def find_broker(server: Server) -> int:
    """Return the process of the broker of some workers."""
    (pid,) = (pid for pid in list_children(server.process.pid) if "--broker" in read_command(pid))
    return pid


def find_folders(tmp_path: Path) -> list[Path]:
    """Return the folders of brokers' sockets."""
    return sorted(tmp_path.glob("nitro-*"))


@contextmanager
def run_topics(tmp_path: Path, **environ: str) -> Iterator[Server]:
    """Run the demo, which has topics, in two processes that make their temporary files in a folder."""
    output = build_project(copy_demo(tmp_path / "demo"))
    (folder := tmp_path / "t").mkdir()
    with run_workers(output, 2, TMPDIR=str(folder), **environ) as server:
        yield server


def test_workers_have_a_broker_of_their_own_which_is_replaced(tmp_path: Path) -> None:
    with run_topics(tmp_path, NITRO_METRICS="true") as server:
        health = {"status": "ok", "backplane": {"name": "local", "connected": True}}
        assert httpx.get(f"{server.url}/_nitro/health", verify=False, trust_env=False).json() == health
        (folder,) = find_folders(tmp_path / "t")
        assert folder.stat().st_mode & 0o777 == 0o700
        broker = find_broker(server)
        os.kill(broker, signal.SIGKILL)
        until(lambda: server.read_log().count("The backplane `local` is back after ") == 2)
        log = server.read_log()
        assert f"Local broker {broker} ended with status -9; another takes its place" in log
        assert log.count("The backplane `local` is lost: ") == 2
        assert find_broker(server) != broker
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
        assert find_folders(tmp_path / "t") == []
        assert "Traceback" not in server.read_log()


def test_broker_that_hangs_is_replaced(tmp_path: Path) -> None:
    with run_topics(tmp_path, NITRO_SERVER__STUCK_TIMEOUT="5") as server:
        broker = find_broker(server)
        os.kill(broker, signal.SIGSTOP)
        until(lambda: f"Local broker {broker} has not answered for 5 s" in server.read_log())
        until(lambda: server.read_log().count("The backplane `local` is back after ") >= 2)
        server.stop()


def test_broker_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    with run_topics(tmp_path) as server:
        children = list_children(server.process.pid)
        assert len(children) == 3
        server.process.kill()
        server.process.wait()
        until(lambda: not any(is_alive(pid) for pid in children))
        assert find_folders(tmp_path / "t") == []


def test_broker_that_is_not_needed_is_not_started(bundle: Path, tmp_path: Path) -> None:
    # One process with topics, and two without.
    output = build_project(copy_demo(tmp_path))
    for environ in ({}, {"NITRO_BACKPLANE": "local"}):
        with run_bundle(output, "--port", "0", environ={"TMPDIR": str(tmp_path), **environ}) as server:
            assert list_children(server.process.pid) == []
            health = httpx.get(f"{server.url}/_nitro/health", verify=False, trust_env=False)
            assert health.json() == {"status": "ok"}
            server.stop()
    with run_workers(bundle, 2, TMPDIR=str(tmp_path)) as server:
        assert not any("--broker" in read_command(pid) for pid in list_children(server.process.pid))
        assert find_folders(tmp_path) == []
        server.stop()


def test_broker_without_a_place_for_its_socket_is_told(tmp_path: Path) -> None:
    output = build_project(copy_demo(tmp_path))
    (long := tmp_path / ("x" * 100)).mkdir()
    told = run_refused(output, "--workers", "2", environ={"TMPDIR": str(long)})
    assert told.startswith("error: Several workers cannot share topics: the socket `")
    assert "AF_UNIX path too long" in told
    assert told.endswith('  hint: Set `TMPDIR` to a folder with a short path, or use `backplane = "redis"`.\n')
    assert find_folders(long) == []


def test_broker_of_others_is_not_reached_by_the_local_one(tmp_path: Path) -> None:
    output = build_project(copy_demo(tmp_path))
    for name in ("", "local"):
        environ = {"NITRO_BACKPLANE": name, "NITRO_BACKPLANE_URL": "redis://:pw@host"}
        told = run_refused(output, "--workers", "2", environ=environ)
        assert told.startswith("error: `backplane_url` does not fit the backplane `local`")
        assert "pw" not in told


def test_local_broker_is_for_workers_of_our_own_parent(tmp_path: Path) -> None:
    output = build_project(copy_demo(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", "import nitro_server"],
        cwd=output / "server",
        env=clean_environment() | {"NITRO_BACKPLANE": "local"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "The backplane `local` has no broker here: expected workers of `--workers`" in done.stderr


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
