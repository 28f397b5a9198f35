"""The function package: what is in it, what is not, and that the same input gives the same bytes."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nitro_py.build.bundle.imports import find_imports
from nitro_py.build.pipeline import write_plan
from tests.benchmarks.functions import make_http_event
from tests.benchmarks.lambda_cold import CREDENTIALS, ECHO, make_message, write_row
from tests.bundles import copy_demo, plan_project, write_files
from tests.checkout import ROOT

pytestmark = pytest.mark.timeout(600)

# What the WebSocket function must not load, unless a route asks for it.
HEAVY = ("boto3", "botocore", "mangum", "pydantic", "starlette", "uvicorn")


# What only a server, a build, `dev` or a test uses.
ELSEWHERE = (
    "nitro_presets/aws_lambda/deploy/",
    "nitro_presets/aws_lambda/gateway/",
    "nitro_presets/aws_lambda/preset.py",
    "nitro_presets/aws_lambda/settings.py",
    "nitro_presets/aws_lambda/templates/",
    "nitro_py/brokers/",
    "nitro_py/build/",
    "nitro_py/cli/",
    "nitro_py/dev/",
    "nitro_py/preset.py",
    "nitro_py/runtime/asgi/websocket.py",
    "nitro_py/runtime/hooks/session.py",
    "nitro_py/runtime/metrics/",
    "nitro_py/runtime/topics/backplane_hub.py",
    "nitro_py/runtime/topics/broker_link.py",
    "nitro_py/server/",
    "nitro_py/testing/",
    "tests/",
)
# Largest source of nitropy-kit itself in a package, in bytes, without byte code. It was 703 kB once.
MAX_OWN_SOURCE = 583_500

SETTINGS = """
preset = "aws-lambda"
"""


def build(folder: Path) -> Path:
    """Build a project for AWS and return its output folder."""
    plan = plan_project(folder, preset="aws-lambda")
    write_plan(plan)
    return plan.output


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the repository's own handlers for AWS."""
    folder = copy_demo(tmp_path_factory.mktemp("first"))
    secrets = {
        ".env": "TOKEN=1",
        "handlers/.env.local": "TOKEN=2",
        "handlers/api/server.pem": "a key",
        "handlers/.git/config": "a repository",
        "handlers/api/id_rsa": "a key",
    }
    return build(write_files(folder, secrets))


def test_package_of_the_demo_is_small_and_holds_what_runs(demo: Path) -> None:
    archive = demo / "function.zip"
    assert archive.stat().st_size < 6_000_000
    with zipfile.ZipFile(archive) as package:
        names = set(package.namelist())
        assert package.getinfo("nitro_wrapper.sh").external_attr >> 16 == 0o100755
    # For tools that make an archive of the folder themselves.
    assert (demo / "server/nitro_wrapper.sh").stat().st_mode & 0o777 == 0o755
    assert {"manifest.json", "nitro_bootstrap.py", "nitro_http.py", "nitro_websocket.py"} <= names
    assert "handlers/api/ws/chat.py" in names
    packages = {name.split("/")[1] for name in names if name.startswith("vendor/")}
    assert {"mangum", "pydantic", "starlette"} <= packages
    assert not {"boto3", "botocore", "typer", "uv", "uvicorn", "watchfiles"} & packages


def test_package_holds_only_our_own_source_that_a_function_uses(demo: Path) -> None:
    with zipfile.ZipFile(demo / "function.zip") as package:
        own = {
            item.filename: item.file_size
            for item in package.infolist()
            if item.filename.startswith(("nitro_presets/", "nitro_py/")) and item.filename.endswith(".py")
        }
        names = package.namelist()
        classes = {
            node.name
            for name in own
            for node in ast.walk(ast.parse(package.read(name)))
            if isinstance(node, ast.ClassDef)
        }
    assert {"nitro_presets/aws_lambda/entry.py", "nitro_py/runtime/app.py"} <= own.keys()
    assert [name for name in names if name.startswith(ELSEWHERE)] == []
    # The stores of a function are in DynamoDB; those in memory are doubles for tests.
    assert {"DynamoStore", "DynamoJobStore"} <= classes
    assert [name for name in classes if name.startswith("Memory")] == []
    assert sum(own.values()) < MAX_OWN_SOURCE


# Modules that are imported where a process holds sockets, has a backplane or is measured: never in a function.
ABSENT = {
    # Ships where there are secrets to read.
    "nitro_presets.aws_lambda.app_secrets",
    "nitro_py.brokers.registry",
    "nitro_py.runtime.asgi.websocket",
    "nitro_py.runtime.metrics.exposition",
    "nitro_py.runtime.metrics.meter",
    "nitro_py.runtime.topics.backplane_hub",
    "nitro_py.stores.registry",
}


def test_nothing_in_the_package_imports_what_was_left_out(demo: Path) -> None:
    with zipfile.ZipFile(demo / "function.zip") as package:
        names = {name for name in package.namelist() if name.startswith(("nitro_presets/", "nitro_py/"))}
        sources = {name: package.read(name) for name in names if name.endswith(".py")}
    imported = {found.module for name, source in sources.items() for found in find_imports(source, name)}
    own = {module for module in imported if module.partition(".")[0] in ("nitro_presets", "nitro_py")}
    assert "nitro_py.runtime.app" in own
    paths = {module: module.replace(".", "/") for module in own}
    missing = {module for module, path in paths.items() if not {f"{path}.py", f"{path}/__init__.py"} & names}
    assert missing == ABSENT


def test_archive_and_folder_are_the_same(demo: Path) -> None:
    with zipfile.ZipFile(demo / "function.zip") as package:
        packed = {name: package.read(name) for name in package.namelist()}
    folder = demo / "server"
    assert packed == {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_nothing_secret_travels(demo: Path) -> None:
    with zipfile.ZipFile(demo / "function.zip") as package:
        names = package.namelist()
    handlers = [name for name in names if name.startswith("handlers/")]
    assert handlers
    assert [
        name for name in handlers if ".env" in name or ".pem" in name or ".git" in name or "id_rsa" in name
    ] == []


@pytest.mark.slow
def test_same_input_gives_the_same_archive_from_any_folder(
    demo: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    again = build(copy_demo(tmp_path_factory.mktemp("second") / "elsewhere"))
    assert (again / "function.zip").read_bytes() == (demo / "function.zip").read_bytes()
    assert (again / "template.yaml").read_bytes() == (demo / "template.yaml").read_bytes()


def test_byte_code_is_there_where_it_can_be_used(demo: Path, tmp_path: Path) -> None:
    tag = sys.implementation.cache_tag
    with zipfile.ZipFile(demo / "function.zip") as package:
        code = package.read(f"nitro_py/__pycache__/peer.{tag}.pyc")
    # PEP 552: flags 0b01, a hash that Python does not check.
    assert code[4:8] == (1).to_bytes(4, "little")
    other = "3.12" if sys.version_info[:2] != (3, 12) else "3.13"
    settings = f'{SETTINGS}aws.python = "{other}"'
    plan = plan_project(write_files(tmp_path, {"nitro.toml": settings, "handlers/index.get.py": HELLO}))
    assert plan.bundle.package is not None
    assert not plan.bundle.package.bytecode
    assert any("No byte code" in note for note in plan.bundle.notes)


def test_information_names_the_functions(demo: Path) -> None:
    functions = json.loads((demo / "nitro.json").read_text())["functions"]
    assert functions["websocket"]["handler"] == "nitro_websocket.handler"
    assert functions["http"]["handler"] == "nitro_http.handler"
    assert functions["websocket"]["needs"] == ["NITRO_CALLBACK_URL", "NITRO_TABLE", "NITRO_WEBSOCKET_FUNCTION"]


@pytest.mark.parametrize("module", ["nitro_http", "nitro_websocket"])
def test_importing_an_entry_needs_no_environment_and_loads_nothing_heavy(demo: Path, module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=demo / "server",
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


# What plain routes need none of, by function: each is loaded by the first route or event that does.
UNUSED = {
    "nitro_http": (
        "ast",
        "asyncio",
        "base64",
        "concurrent",
        "dataclasses",
        "inspect",
        "mangum",
        "math",
        "ssl",
        "starlette",
        "nitro_py.capabilities",
        "nitro_py.message",
        "nitro_py.mount",
        "nitro_py.peer",
        "nitro_py.plugins",
        "nitro_py.sse",
        "nitro_py.topics",
        "nitro_py.validation",
        "nitro_py.websocket",
        "nitro_py.runtime.asgi.application",
        "nitro_py.runtime.hooks.session",
        "nitro_py.runtime.contracts",
        "nitro_py.runtime.http.streaming",
        "nitro_presets.aws_lambda.http.stream",
        "nitro_presets.aws_lambda.app_secrets",
        "nitro_presets.aws_lambda.websocket",
        "nitro_presets.aws_lambda.aws_client",
    ),
    "nitro_websocket": (
        "starlette",
        "nitro_py.mount",
        "nitro_py.plugins",
        "nitro_py.sse",
        "nitro_py.validation",
        "nitro_py.runtime.hooks.upgrade",
        "nitro_presets.aws_lambda.app_secrets",
        "nitro_presets.aws_lambda.aws_client.invoke",
        "nitro_presets.aws_lambda.http",
        "nitro_presets.aws_lambda.websocket.connect",
        "nitro_presets.aws_lambda.fanout.publish",
        "nitro_presets.aws_lambda.fanout.run_job",
        "nitro_presets.aws_lambda.fanout.job_store",
    ),
}
# Modules of the standard library that take long to load, and that neither function needs for a plain route.
SLOW = ("decimal", "email", "http", "importlib.metadata", "random", "secrets", "uuid", "zipfile")


@contextmanager
def run_services() -> Iterator[int]:
    """Run what stands for AWS's services, with one connection in the table, and return its port."""
    command = [sys.executable, "-m", "tests.benchmarks.load.aws"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps({"item": write_row()}), file=process.stdin, flush=True)
        try:
            yield json.loads(process.stdout.readline())["port"]
        finally:
            process.kill()


@pytest.mark.parametrize("function", sorted(UNUSED))
def test_what_a_route_does_not_use_is_not_loaded(tmp_path: Path, function: str) -> None:
    files = {
        "nitro.toml": f"{SETTINGS}experimental.websocket = true",
        "handlers/index.get.py": HELLO,
        "handlers/echo.py": ECHO,
    }
    output = build(write_files(tmp_path, files))
    with run_services() as port:
        environ = CREDENTIALS | {
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{port}",
            "AWS_LAMBDA_FUNCTION_NAME": "function",
            "NITRO_CALLBACK_URL": f"http://127.0.0.1:{port}/prod",
            "NITRO_TABLE": "connections",
        }
        event = make_message() if function == "nitro_websocket" else make_http_event("/")
        code = f"""
import json, sys, {function}
class Context:
    aws_request_id = "1"
    def get_remaining_time_in_millis(self): return 30_000
answer = {function}.handler(json.loads(sys.argv[1]), Context())
print(json.dumps([answer["statusCode"], sorted(sys.modules)]))
"""
        done = subprocess.run(
            [sys.executable, "-S", "-c", code, json.dumps(event)],
            cwd=output / "server",
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stderr == ""
    status, loaded = json.loads(done.stdout)
    assert status == 200
    unused = UNUSED[function] + SLOW
    assert [name for name in loaded if name in unused or name.startswith(tuple(f"{n}." for n in unused))] == []


HELLO = """
    from nitro_py import Event, define_handler

    @define_handler
    async def handler(event: Event) -> str:
        return "hello"
    """
