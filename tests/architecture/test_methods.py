"""The one list of HTTP methods: what is added there is built, served and named in `Allow`."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.bundles import clean_environment, run_bundle, write_files
from tests.checkout import ROOT

METHODS_FILE = Path("nitro_py/runtime/routing/methods.py")
HANDLER = """
from nitro_py import Event, define_handler


@define_handler
async def handler(event: Event) -> dict[str, str]:
    return {"method": event.method, "body": (await event.body()).decode()}
"""


def copy_with_method(folder: Path, method: str) -> list[Path]:
    """Copy the packages, add a method to the list, and return what `PYTHONPATH` must name."""
    for package in ("nitro_py", "presets/nitro_presets"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    # The container preset and that of AWS read their templates beside it.
    shutil.copytree(ROOT / "infra", folder / "infra")
    text = (folder / METHODS_FILE).read_text(encoding="utf-8")
    assert text.count('"PUT")') == 1
    (folder / METHODS_FILE).write_text(text.replace('"PUT")', f'"PUT", "{method}")'), encoding="utf-8")
    return [folder, folder / "presets"]


def ask(url: str, method: str, path: str, body: str | None = None) -> tuple[int, str | None, str]:
    """Send a request, and return the status, `Allow` and the body of the answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.getheader("allow"), answer.read().decode()
    finally:
        connection.close()


def test_method_that_is_added_to_the_list_is_built_and_served(tmp_path: Path) -> None:
    path = copy_with_method(tmp_path / "checkout", "QUERY")
    project = write_files(
        tmp_path / "project",
        {"handlers/name.query.py": HANDLER, "handlers/any.py": HANDLER, "handlers/read.get.py": HANDLER},
    )
    built = subprocess.run(
        [sys.executable, "-c", "from nitro_py.cli.main import main; main()", "build", "--preset", "asgi"],
        cwd=project,
        env=clean_environment() | {"PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    with run_bundle(project / ".output") as server:
        assert ask(server.url, "QUERY", "/name", "x") == (200, None, '{"method":"QUERY","body":"x"}')
        assert ask(server.url, "QUERY", "/any", "y") == (200, None, '{"method":"QUERY","body":"y"}')
        assert ask(server.url, "GET", "/name")[:2] == (405, "QUERY")
        assert ask(server.url, "QUERY", "/read")[:2] == (405, "GET, HEAD")
