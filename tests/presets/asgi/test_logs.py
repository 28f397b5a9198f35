"""What a running bundle logs: one JSON object a line, with the ids of requests and peers."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from tests.bundles import PATIENCE, Server, build_project, run_bundle, write_files

PROJECT = {
    "nitro.toml": """
        experimental.websocket = true
        log = "json"
        """,
    "handlers/items/[id].py": """
        import logging

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> str:
            logging.getLogger("shop").info("Item %s", event.params["id"], extra={"price": 7})
            return event.id
        """,
    "handlers/broken.py": """
        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> None:
            raise ValueError("two\\nlines")
        """,
    "handlers/stock.py": """
        import logging

        from nitro_py import Event, define_handler

        @define_handler
        async def handler(event: Event) -> None:
            logging.getLogger("shop.prices").debug("compared")
            logging.getLogger("shop").info("counted")
            logging.getLogger("shop").warning("low on %s", event.query["of"])
        """,
    "handlers/read/[way].post.py": """
        from collections.abc import AsyncIterator

        from nitro_py import Event, define_handler

        @define_handler(streams=True)
        async def handler(event: Event) -> object:
            match event.params["way"]:
                case "body":
                    return len(await event.body())
                case "json":
                    return await event.request.json()
                case _:
                    return copy(event)

        async def copy(event: Event) -> AsyncIterator[bytes]:
            yield b"begun"
            yield await event.body()
        """,
    "handlers/room/[name].py": """
        import logging

        from nitro_py import Message, Peer, define_websocket_handler

        logger = logging.getLogger("room")

        async def open(peer: Peer) -> None:
            logger.info("opened")
            await peer.send(peer.id)

        async def message(peer: Peer, message: Message) -> None:
            logger.info("heard")
            raise ValueError("no")

        async def close(peer: Peer) -> None:
            logger.info("closed")

        handler = define_websocket_handler(open=open, message=message, close=close)
        """,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an app that logs."""
    return build_project(write_files(tmp_path_factory.mktemp("logs"), PROJECT))


@pytest.fixture
def server(bundle: Path) -> Iterator[Server]:
    """Run the bundle."""
    with run_bundle(bundle) as server:
        yield server


def read_records(server: Server) -> list[dict[str, Any]]:
    """Read what was logged: a line that is no JSON object is an error."""
    records = [json.loads(line) for line in server.read_log().splitlines()]
    for record in records:
        assert list(record)[:4] == ["time", "level", "logger", "message"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])
    return records


def wait_for_record(server: Server, check: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait for a record, and return it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        for record in read_records(server):
            if check(record):
                return record
        assert time.monotonic() < deadline, server.read_log()
        time.sleep(0.02)


def test_every_line_is_an_object_from_start_to_stop(server: Server) -> None:
    assert httpx.get(f"{server.url}/items/7").status_code == 200
    server.stop()
    messages = [record["message"] for record in read_records(server)]
    # It can be reached once the app has started.
    assert messages.index("Application startup complete.") < messages.index(f"Listening on {server.url}")
    assert "Application shutdown complete." in messages


def test_probe_that_succeeds_is_no_record(server: Server) -> None:
    assert httpx.get(f"{server.url}/_nitro/ready").status_code == 200
    assert httpx.get(f"{server.url}/items/7").status_code == 200
    server.stop()
    access = [record["path"] for record in read_records(server) if record["logger"] == "uvicorn.access"]
    assert access == ["/items/7"]


def test_request_id_is_taken_over(server: Server) -> None:
    id = "trace-1/2=3"
    answer = httpx.get(f"{server.url}/items/7", headers={"X-Request-ID": id})
    assert answer.text == id
    record = wait_for_record(server, lambda record: record["logger"] == "shop")
    record.pop("time")
    assert record == {
        "level": "INFO",
        "logger": "shop",
        "message": "Item 7",
        "request_id": id,
        "route": "/items/[id]",
        "price": 7,
    }
    access = wait_for_record(server, lambda record: record["logger"] == "uvicorn.access")
    assert (access["request_id"], access["route"]) == (id, "/items/[id]")
    assert (access["method"], access["path"], access["status"]) == ("GET", "/items/7", 200)
    assert access["client"].startswith("127.0.0.1:")


@pytest.mark.parametrize("given", ["", "a b", 'a"b', "x" * 129, "é"])
def test_request_id_that_cannot_be_one_is_replaced(server: Server, given: str) -> None:
    headers = {b"x-request-id": given.encode()}
    ids = {httpx.get(f"{server.url}/items/7", headers=headers).text for _ in range(2)}
    assert len(ids) == 2
    assert all(re.fullmatch(r"[0-9a-f-]{36}", id) for id in ids)


def test_error_is_one_record(server: Server) -> None:
    answer = httpx.get(f"{server.url}/broken", headers={"X-Request-ID": "broken-1"})
    assert answer.status_code == 500
    record = wait_for_record(server, lambda record: record["level"] == "ERROR")
    assert (record["logger"], record["message"]) == ("nitro_py.http", "GET /broken failed.")
    assert (record["request_id"], record["route"]) == ("broken-1", "/broken")
    assert record["exception"].startswith("Traceback (most recent call last):\n")
    assert record["exception"].endswith("ValueError: two\nlines")


def test_hooks_log_their_peer(server: Server) -> None:
    with connect(f"{server.socket_url}/room/blue") as socket:
        peer = socket.recv(PATIENCE)
        socket.send("hello")
        with pytest.raises(ConnectionClosedError, match="1011"):
            socket.recv(PATIENCE)
    wait_for_record(server, lambda record: record["message"] == "closed")
    server.stop()
    about = [record for record in read_records(server) if "peer_id" in record]
    assert {(record["peer_id"], record["route"]) for record in about} == {(peer, "/room/[name]")}
    assert [record["message"] for record in about if record["logger"] == "room"] == ["opened", "heard", "closed"]
    assert [record["exception"].splitlines()[-1] for record in about if "exception" in record] == [
        "ValueError: no"
    ]
    accepted = [record for record in read_records(server) if "[accepted]" in record["message"]]
    assert [record["route"] for record in accepted] == ["/room/[name]"]


@pytest.mark.parametrize("way", ["body", "json", "copy"])
def test_client_that_leaves_in_its_request_is_no_error(server: Server, way: str) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port), PATIENCE) as client:
        head = f"POST /read/{way} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n"
        client.sendall(head.encode() + b"1234")
        if way == "copy":
            assert client.recv(100)
        else:
            time.sleep(0.1)
    # It has to have been noticed.
    time.sleep(0.2)
    assert httpx.post(f"{server.url}/read/body", content=b"whole").text == "5"
    server.stop()
    assert [record for record in read_records(server) if record["level"] != "INFO"] == []


def test_text_names_the_request_that_failed(bundle: Path) -> None:
    with run_bundle(bundle, environ={"NITRO_LOG": "text"}) as server:
        httpx.get(f"{server.url}/broken", headers={"X-Request-ID": "broken-2"})
        server.stop()
        lines = server.read_log().splitlines()
    assert f"Listening on {server.url}" in lines
    assert "ERROR:    GET /broken failed. [request broken-2]" in lines


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_warning_has_its_level_and_logger(bundle: Path, environ: dict[str, str], coloured: bool) -> None:
    with run_bundle(bundle, environ={"NITRO_LOG": "text", **environ}) as server:
        httpx.get(f"{server.url}/stock?of=tea%1b[2J", headers={"X-Request-ID": "stock-1"})
        server.stop()
        log = server.read_log()
    plain = re.sub(r"\x1b\[\d+m", "", log)
    assert "WARNING:  shop: low on tea\\x1b[2J [request stock-1]\n" in plain
    assert "counted" not in plain
    assert (plain != log) == coloured


@pytest.mark.parametrize(
    ("environ", "logged"),
    [
        ({"NITRO_LOG": "text"}, ["low on tea"]),
        ({"NITRO_LOG": "json"}, ["counted", "low on tea"]),
        ({"NITRO_LOG": "text", "NITRO_LOG__LEVEL": "info"}, ["counted", "low on tea"]),
        ({"NITRO_LOG": "text", "NITRO_LOG__LEVEL": "error"}, []),
        ({"NITRO_LOG": "json", "NITRO_LOG__LEVEL": "warning"}, ["low on tea"]),
        ({"NITRO_LOG": "text", "NITRO_LOG__LEVELS__SHOP": "info"}, ["counted", "low on tea"]),
        ({"NITRO_LOG": "text", "NITRO_LOG__LEVELS__SHOP__PRICES": "debug"}, ["compared", "low on tea"]),
        (
            {"NITRO_LOG": "json", "NITRO_LOG__LEVEL": "debug", "NITRO_LOG__LEVELS__SHOP__PRICES": "info"},
            ["counted", "low on tea"],
        ),
    ],
)
def test_levels_of_the_app(bundle: Path, environ: dict[str, str], logged: list[str]) -> None:
    with run_bundle(bundle, environ=environ) as server:
        httpx.get(f"{server.url}/stock?of=tea")
        server.stop()
        log = server.read_log()
    assert [text for text in ("compared", "counted", "low on tea") if text in log] == logged
    # Other loggers keep their own levels.
    assert "Application startup complete." in log
    assert "/stock?of=tea" in log


def test_levels_of_the_settings(tmp_path: Path) -> None:
    settings = """
        [log]
        format = "json"
        level = "error"

        [log.levels]
        "shop.prices" = "debug"
        uvicorn = "warning"
        """
    files = {"nitro.toml": settings, "handlers/stock.py": PROJECT["handlers/stock.py"]}
    with run_bundle(build_project(write_files(tmp_path, files))) as server:
        httpx.get(f"{server.url}/stock?of=tea")
        server.stop()
        records = read_records(server)
    assert [record["message"] for record in records if record["logger"] == "shop.prices"] == ["compared"]
    loggers = {record["logger"] for record in records}
    # Those that have levels of their own are below the logger that is named, too.
    assert not loggers & {"shop", "uvicorn", "uvicorn.access", "uvicorn.error"}
