"""DynamoDB for the tests: moto's server in a process of its own.

Its requests are served one at a time, since moto checks a condition and writes in two steps that others can come
between; DynamoDB does both at once.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.checkout import ROOT


@contextmanager
def run_database() -> Iterator[str]:
    """Run the server and return its URL."""
    command = [sys.executable, "-m", "tests.presets.aws_lambda.store.database"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            assert url.startswith("http://"), "moto's server does not start"
            yield url
        finally:
            server.kill()


def serve() -> None:
    """Serve until killed."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    turn = threading.Lock()

    def take_turns(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with turn:
            answer: Iterable[bytes] = application(environ, start)
            return answer

    server = make_server("127.0.0.1", 0, take_turns, threaded=True, request_handler=MotoRequestHandler)
    print(f"http://127.0.0.1:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve()
