"""What one client may take of a running bundle: bytes, time, and connections."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from nitro_py.server.http.limits import SPARE_CONNECTIONS
from tests.bundles import PATIENCE, Server, build_project, run_bundle, write_files

HEADER_TIMEOUT = 2.0
BODY_TIMEOUT = 2.0
MAX_HEADER = 4096
# How much later than its time-out a client may be cut off: sooner than by any default, of which the least is 30 s.
LATE = 25.0
# How much sooner, since a loop may count from when it last looked at the clock.
EARLY = 0.2

PROJECT = {
    "nitro.toml": f"""
        experimental.websocket = true
        metrics = true
        http.header_timeout = {HEADER_TIMEOUT}
        http.body_timeout = {BODY_TIMEOUT}
        http.max_header = {MAX_HEADER}
        http.keep_alive = 3
        """,
    "handlers/size.post.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> int:
            return len(await event.body())
        """,
    "handlers/wait.post.py": """
        import asyncio

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> int:
            # Longer than any time-out: it is not the client that is slow.
            await asyncio.sleep(4)
            return len(await event.body())
        """,
    "handlers/endless.get.py": """
        from collections.abc import AsyncIterator

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(100_000)
            finally:
                print("endless ended", flush=True)
        """,
    "handlers/chat.py": """
        from nitro_py import define_websocket_handler

        handler = define_websocket_handler()
        """,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an app with narrow limits."""
    return build_project(write_files(tmp_path_factory.mktemp("limits"), PROJECT))


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Server]:
    """Run the bundle."""
    with run_bundle(bundle) as server:
        yield server


@contextmanager
def dial(server: Server) -> Iterator[socket.socket]:
    """Open a connection, and say nothing."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        yield client


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except ConnectionResetError:
        # It had more to read from us when it closed.
        pass
    return data


def drip(client: socket.socket, data: bytes, pause: float) -> None:
    """Send byte for byte until the server has enough of it."""
    client.setblocking(False)
    for byte in data * 1000:
        try:
            client.send(bytes([byte]))
            if client.recv(1, socket.MSG_PEEK) is not None:
                break
        except BlockingIOError:
            time.sleep(pause)
        except OSError:
            break
    client.settimeout(PATIENCE)


def count_refusals(server: Server) -> float:
    """Count the requests that the server has refused."""
    _, _, rest = httpx.get(f"{server.url}/_nitro/metrics").text.partition(
        'nitro_http_requests_refused_total{worker="0"} '
    )
    return float(rest.split()[0])


def test_head_that_drips_is_cut_off(server: Server) -> None:
    began = time.monotonic()
    with dial(server) as client:
        client.sendall(b"GET /size HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        drip(client, b"a", 0.1)
        assert read_all(client).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert HEADER_TIMEOUT - EARLY < time.monotonic() - began < HEADER_TIMEOUT + LATE


def test_connection_that_says_nothing_is_closed(server: Server) -> None:
    began = time.monotonic()
    with dial(server) as client:
        assert read_all(client) == b""
        assert HEADER_TIMEOUT - EARLY < time.monotonic() - began < HEADER_TIMEOUT + LATE


def test_body_that_stops_is_cut_off(server: Server) -> None:
    with dial(server) as client:
        began = time.monotonic()
        client.sendall(b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert read_all(client).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert BODY_TIMEOUT - EARLY < time.monotonic() - began < BODY_TIMEOUT + LATE


@pytest.mark.slow
def test_body_that_makes_progress_is_not(server: Server) -> None:
    with dial(server) as client:
        client.sendall(b"POST /size HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 20\r\n\r\n")
        # Together twice the time-out, each far from it.
        for _ in range(20):
            time.sleep(BODY_TIMEOUT / 10)
            client.sendall(b"a")
        answer = read_all(client)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n20")


@pytest.mark.slow
def test_handler_may_take_longer_than_a_client(server: Server) -> None:
    assert httpx.post(f"{server.url}/wait", content=b"abc", timeout=PATIENCE).json() == 3
    with dial(server) as client:
        # It waits for our word, which the handler gives late.
        client.sendall(
            b"POST /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"abc")
        assert read_all(client).endswith(b"\r\n\r\n3")


@pytest.mark.slow
def test_reader_that_stops_is_cut_off(server: Server) -> None:
    with dial(server) as client:
        client.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
        deadline = time.monotonic() + BODY_TIMEOUT + LATE
        while "endless ended" not in server.read_log():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_kept_connection_is_closed_in_the_end(server: Server) -> None:
    with dial(server) as client:
        began = time.monotonic()
        client.sendall(b"GET /_nitro/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in client.recv(1000)
        assert read_all(client) == b""
        # Longer than a header may take: between two requests the server waits for none.
        assert 2.5 < time.monotonic() - began < 3 + LATE


@pytest.mark.parametrize(
    "head",
    [
        b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * MAX_HEADER),
        b"GET /size HTTP/1.1\r\nHost: x\r\nX-Large: %b\r\n\r\n" % (b"a" * MAX_HEADER),
        b"GET /size HTTP/1.1\r\nHost: x\r\n%b\r\n" % (b"a: b\r\n" * MAX_HEADER),
        # One that never ends.
        b"GET /size HTTP/1.1\r\nHost: x\r\nX-Large: %b" % (b"a" * 2_000_000),
    ],
    ids=["target", "field", "fields", "endless"],
)
def test_head_that_is_too_large_is_refused(server: Server, head: bytes) -> None:
    before = count_refusals(server)
    with dial(server) as client:
        # It need not hear us out.
        with suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(head)
        answer = read_all(client)
    # A reset may take the answer along where more was on its way.
    assert answer.startswith(b"HTTP/1.1 431 ") or (not answer and len(head) > 1_000_000)
    deadline = time.monotonic() + PATIENCE
    while count_refusals(server) != before + 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_large_body_and_many_requests_in_one_piece_are_no_large_head(server: Server) -> None:
    body = b"a" * 10 * MAX_HEADER
    assert httpx.post(f"{server.url}/size", content=body).json() == len(body)
    request = b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nX-Some: %b\r\n\r\na" % (b"b" * 1000)
    last = request.replace(b"Host", b"Connection: close\r\nHost")
    with dial(server) as client:
        client.sendall(request * 30 + last)
        assert read_all(client).count(b"HTTP/1.1 200 OK\r\n") == 31


def test_connections_over_the_limit_are_refused_and_probes_answered(bundle: Path) -> None:
    with run_bundle(bundle, environ={"NITRO_SERVER__MAX_CONNECTIONS": "5"}) as server, ExitStack() as stack:
        sockets = [stack.enter_context(connect(f"{server.socket_url}/chat")) for _ in range(5)]
        answer = httpx.post(f"{server.url}/size", content=b"abc")
        assert (answer.status_code, answer.text) == (503, "Too many connections.")
        with pytest.raises(InvalidStatus) as caught, connect(f"{server.socket_url}/chat"):
            pass
        assert caught.value.response.status_code == 503
        assert httpx.get(f"{server.url}/_nitro/live").status_code == 200
        assert httpx.get(f"{server.url}/_nitro/ready").status_code == 200
        deadline = time.monotonic() + PATIENCE
        # Logged once a second, however many requests there are.
        while server.read_log().count("requests with 503: Too many connections.") < 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert count_refusals(server) == 2
        sockets.pop().close()
        while httpx.post(f"{server.url}/size", content=b"abc").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_server_asks_for_the_files_that_it_may_have(bundle: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with run_bundle(bundle) as server:
        assert httpx.get(f"{server.url}/_nitro/live").status_code == 200
        soft, _ = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        assert soft == min(hard, 1024 * 1024)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["silent", "half a head"])
def test_probes_answer_while_clients_that_ask_for_nothing_fill_every_place(bundle: Path, begun: bytes) -> None:
    limits = {"NITRO_SERVER__MAX_CONNECTIONS": "10"}
    with run_bundle(bundle, environ=limits) as server, ExitStack() as stack:
        for _ in range(10 + SPARE_CONNECTIONS + 30):
            client = stack.enter_context(dial(server))
            if begun:
                client.sendall(begun)
        for path, status in (("/_nitro/live", 200), ("/_nitro/ready", 200), ("/", 503)):
            with dial(server) as probe:
                probe.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                assert read_all(probe).startswith(f"HTTP/1.1 {status} ".encode())
