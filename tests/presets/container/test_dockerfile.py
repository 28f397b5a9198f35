"""The image that the Dockerfile builds, really built, and run read-only with every capability dropped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nitro_py.build.bundle.dependencies import build_python
from nitro_py.build.pipeline import write_plan
from nitro_py.testing.conformance import ServerTarget
from tests.bundles import copy_demo, plan_project
from tests.capabilities import lack
from tests.presets.container.chat import check_chat, check_clock
from tests.presets.container.engine import LIMITS, Container, Engine, run

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def container(engine: Engine, demo_image: str) -> Iterator[Container]:
    """Run the demo."""
    with engine.start(demo_image) as container:
        yield container


async def test_chat_works(container: Container) -> None:
    target = ServerTarget(container.url)
    await check_chat(target, target)
    await check_clock(target)


def test_nobody_runs_it_and_nothing_can_be_written(engine: Engine, container: Container) -> None:
    code = (
        "import json, os, pathlib\n"
        "status = dict(line.strip().split(':\\t', 1) for line in open('/proc/1/status'))\n"
        "def write(path):\n"
        "    try: pathlib.Path(path).write_text('')\n"
        "    except OSError as error: return error.strerror\n"
        "print(json.dumps([os.getuid(), os.getgid(), status['CapEff'], write('/app/x'), write('/tmp/x')]))"
    )
    done = engine.podman("exec", container.name, "python3", "-c", code)
    read_only = "Read-only file system"
    assert done.stdout.strip() == f'[65532, 65532, "0000000000000000", "{read_only}", "{read_only}"]'


def test_first_process_is_python_itself(engine: Engine, container: Container) -> None:
    code = "print(open('/proc/1/cmdline').read().split(chr(0))[:2])"
    done = engine.podman("exec", container.name, "python3", "-c", code)
    assert done.stdout.strip() == "['python3', '/app/server']"


def test_byte_code_is_used(engine: Engine, container: Container) -> None:
    for folder, module in (("", "nitro_py"), ("vendor/", "uvicorn")):
        place = f"/app/server/{folder}"
        code = f"import sys; sys.path.insert(0, '{place}'); import {module}"
        said = engine.podman("exec", container.name, "python3", "-v", "-c", code).stderr
        assert f"# {place}{module}/__pycache__/__init__.cpython-" in said
        assert f" matches {place}{module}/__init__.py" in said


def test_health_is_asked_as_docker_asks(engine: Engine, container: Container) -> None:
    engine.podman("healthcheck", "run", container.name)


def test_stop_is_graceful(engine: Engine, demo_image: str) -> None:
    # It must not wait for the end of its time.
    with engine.start(demo_image, environ={"NITRO_SERVER__GRACE": "3600"}) as container:
        with httpx.stream("GET", f"{container.url}/api/sse") as stream:
            lines = stream.iter_lines()
            next(lines)
            status = container.stop()
            # A broken stream would raise.
            list(lines)
        assert status == 0


def test_dependencies_have_a_layer_of_their_own(engine: Engine, demo_image: str) -> None:
    described = engine.describe(demo_image)
    assert len(described["RootFS"]["Layers"]) >= 3
    copied = [entry["created_by"] for entry in described["History"] if not entry.get("empty_layer")]
    assert ["server/vendor" in line for line in copied[-2:]] == [True, False]


def test_image_says_what_it_is(engine: Engine, demo_image: str) -> None:
    described = engine.describe(demo_image)
    config = described["Config"]
    assert config["Entrypoint"] == ["python3", "/app/server"]
    assert not config.get("Cmd")
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("65532:65532", "/app", "SIGTERM")
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    assert config["Labels"]["org.opencontainers.image.title"] == "nitro-app"
    assert config["Labels"]["org.opencontainers.image.base.name"] == "localhost/base:latest"
    assert described["Healthcheck"]["Test"][:2] == ["CMD", "python3"]


def test_vendored_bundle_needs_neither_pip_nor_a_shell(engine: Engine, bare_base: Path, tmp_path: Path) -> None:
    run("skopeo", "copy", "--quiet", f"oci:{bare_base}:latest", engine.name_in_storage("localhost/bare:latest"))
    if engine.find_python("localhost/bare:latest") != build_python():
        lack("The Python of this machine's Debian is not the one that builds.")
    plan = plan_project(copy_demo(tmp_path), vendored=True, preset="container")
    write_plan(plan)
    engine.build(plan.output, "localhost/bare:latest", "localhost/vendored:latest")
    with engine.start("localhost/vendored:latest") as container:
        assert httpx.post(f"{container.url}/api/echo", json={"text": "hi"}).json() == {"text": "hi"}


def test_arguments_are_the_apps(engine: Engine, demo_image: str) -> None:
    options = ("--rm", "--pull=never", "--network=none", *LIMITS)
    assert "--port PORT" in engine.podman("run", *options, demo_image, "--help").stdout
