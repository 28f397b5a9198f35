"""Lambda functions that are measured: ours as a built bundle, the peers' as they are deployed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.failures import BenchmarkError
from tests.benchmarks.programs import pin
from tests.benchmarks.rows import Bench
from tests.benchmarks.servers import PEERS
from tests.bundles import clean_environment, write_files

RUNNER = PEERS / "lambda_runner.py"
HELLO = """
    from nitro_py import Event, define_handler


    @define_handler
    async def handler(event: Event) -> dict[str, str]:
        return {"message": "hello"}
"""
FIELDS = {
    "accept": "*/*",
    "accept-encoding": "gzip, deflate, br",
    "content-length": "0",
    "host": "abc123.execute-api.eu-central-1.amazonaws.com",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "x-amzn-trace-id": "Root=1-5e6722a7-cc56a17e4d0b7ae02d4da47e",
    "x-forwarded-for": "205.255.255.176",
    "x-forwarded-port": "443",
    "x-forwarded-proto": "https",
}


def make_http_event(path: str) -> dict[str, Any]:
    """Make the event of an HTTP API, payload format 2.0."""
    http = {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "205.255.255.176", "userAgent": "M"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "a=1&b=2",
        "headers": FIELDS,
        "queryStringParameters": {"a": "1", "b": "2"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": FIELDS["host"],
            "domainPrefix": "abc123",
            "http": http,
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "10/Mar/2026:05:16:23 +0000",
            "timeEpoch": 1773119783220,
        },
        "isBase64Encoded": False,
    }


def make_rest_event(path: str) -> dict[str, Any]:
    """Make the event of a REST API."""
    return {
        "resource": path,
        "path": path,
        "httpMethod": "GET",
        "headers": FIELDS,
        "multiValueHeaders": {name: [value] for name, value in FIELDS.items()},
        "queryStringParameters": {"a": "1", "b": "2"},
        "multiValueQueryStringParameters": {"a": ["1"], "b": ["2"]},
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "resourcePath": path,
            "path": path,
            "httpMethod": "GET",
            "identity": {"sourceIp": "205.255.255.176"},
            "requestId": "JKJaXmPLvHcESHA=",
            "stage": "prod",
        },
        "body": None,
        "isBase64Encoded": False,
    }


def build_function(bench: Bench, name: str, files: Mapping[str, str]) -> Path:
    """Return the function package of a project of ours, built when it is first asked for.

    Raises:
        BenchmarkError: The build failed.
    """
    project = bench.folder / name
    if not project.exists():
        write_files(project, files)
        nitropy = Path(sys.executable).with_name("nitropy")
        done = subprocess.run(
            [nitropy, "build", "--preset", "aws-lambda"],
            cwd=project,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BenchmarkError(f"`nitropy build` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return project / ".output/server"


def build_routes(bench: Bench, count: int) -> Path:
    """Return the package of a project of ours with so many plain routes."""
    routes = {f"handlers/route{number}.get.py": HELLO for number in range(count)}
    return build_function(bench, f"functions-{count}", {"pyproject.toml": "[tool.nitropy]\n", **routes})


def make_command(
    bench: Bench, folder: Path, module: str, event: Mapping[str, Any], *mode: str
) -> list[str | Path]:
    """Return the command that calls a function; the same interpreter calls all of them."""
    return [bench.install("lambda").python, RUNNER, folder, module, json.dumps(event), *mode]


def call_once(bench: Bench, command: Sequence[str | Path], environ: Mapping[str, str]) -> float:
    """Run a command that calls a function once, and return the CPU time until that was answered, in milliseconds.

    Raises:
        BenchmarkError: It failed.
    """
    words = [str(word) for word in command]
    with pin(bench.server_core):
        done = subprocess.run(
            words,
            cwd=bench.folder,
            env=clean_environment() | dict(environ),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise BenchmarkError(f"`{' '.join(words[:4])}` ended with {done.returncode}:\n{done.stderr}")
    answer: dict[str, float] = json.loads(done.stdout)
    return answer["cpu"] * 1e3
