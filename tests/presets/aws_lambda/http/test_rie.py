"""The HTTP function under AWS's own Runtime Interface Emulator, with their runtime client and with ours."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities import require_program
from tests.checkout import ROOT
from tests.ports import find_port
from tests.presets.aws_lambda.http.project import SHAPES, make_event, write_project

INVOKE = "/2015-03-31/functions/function/invocations"
ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64"}
CLIENTS = {
    "awslambdaric": ("-m", "awslambdaric", "nitro_http.handler"),
    "ours": ("nitro_bootstrap.py", "nitro_http.handler"),
}


def find_emulator() -> Path:
    """Find the emulator: by itself, or inside the SAM CLI, which carries it."""
    found = shutil.which("aws-lambda-rie")
    if found is not None:
        return Path(found)
    name = f"aws-lambda-rie-{ARCHITECTURES.get(platform.machine(), platform.machine())}"
    environment = require_program("sam").resolve().parent.parent
    return next(environment.glob(f"lib/python*/site-packages/samcli/local/rapid/{name}"))


@contextmanager
def emulate(package: Path, client: str) -> Iterator[str]:
    """Run the package's HTTP function and return the emulator's address."""
    port, api_port = find_port(), find_port()
    command = [
        *(str(find_emulator()), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{api_port}"),
        *(sys.executable, *CLIENTS[client]),
    ]
    paths = (str(package), str(ROOT), str(ROOT / "presets"))
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "LAMBDA_TASK_ROOT": str(package)}
    with (package / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=package, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield f"http://127.0.0.1:{port}{INVOKE}"
    finally:
        process.terminate()
        process.wait(60)


def invoke(address: str, event: dict[str, Any]) -> bytes:
    """Invoke the function, as soon as the emulator listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(address, json.dumps(event).encode(), timeout=60) as response:
                body: bytes = response.read()
                return body
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.parametrize("client", CLIENTS)
def test_every_gateway_is_answered(tmp_path: Path, client: str) -> None:
    package = write_project(tmp_path)
    with emulate(package, client) as address:
        for shape in SHAPES:
            event = make_event(shape, "/api/show/a%2Fb", method="POST", body=b"x")
            answer = json.loads(invoke(address, event))
            assert answer["statusCode"] == 200, answer
            assert json.loads(answer["body"])["name"] == "a/b"
        assert json.loads(invoke(address, make_event("rest", "/api/later")))["body"] == "soon"
        if client == "awslambdaric":
            assert (package / "last").exists()
        failed = json.loads(invoke(address, {"not": "a request"}))
        assert failed["statusCode"] == 400
        assert json.loads(invoke(address, make_event("rest", "/api/bytes")))["isBase64Encoded"] is True
    assert (package / "plugin.log").read_text().split()[0] == "start"
    assert (package / "plugin.log").read_text().count("start") == 1


def test_streamed_answer_is_taken(tmp_path: Path) -> None:
    package = write_project(tmp_path, streaming="function-url", stream_seconds=3)
    with emulate(package, "ours") as address:
        prelude, _, body = invoke(address, make_event("function-url", "/api/ticks")).partition(bytes(8))
        assert json.loads(prelude)["statusCode"] == 200
        assert body.startswith(b"data: 0\n\ndata: 1\n\n")
        shown = invoke(address, make_event("function-url", "/api/show/x"))
        assert json.loads(shown.partition(bytes(8))[2])["name"] == "x"
