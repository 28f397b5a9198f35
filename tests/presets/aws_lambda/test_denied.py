"""What AWS cannot do is refused at build, or fails as the contract's table says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from nitro_py.errors import BuildError
from tests.bundles import build_project, plan_project, write_files
from tests.presets.aws_lambda.gateways import run_gateway

pytestmark = pytest.mark.timeout(600)

SETTINGS = """
    experimental.websocket = true
    preset = "aws-lambda"
    """
STREAM = """
    from nitro_py import Event, EventStream, create_event_stream, define_handler

    @define_handler{options}
    async def handler(event: Event) -> EventStream:
        return create_event_stream(event{arguments})
    """
MOUNTED = """
    from fastapi import FastAPI, WebSocket
    from nitro_py import mount_asgi

    app = FastAPI()

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()

    handler = mount_asgi(app)
    """
SOCKET = """
    from nitro_py import HTTPError, Message, Peer, Request, Response, Upgrade, define_websocket_handler

    async def upgrade(request: Request) -> Upgrade | Response:
        if "no" in request.query:
            return Response("a reason", status=409)
        return Upgrade(headers={"x-why": "because"})

    async def message(peer: Peer, message: Message) -> None:
        match message.text():
            case "buffer":
                await peer.wait_for_drain()
                await peer.send(peer.buffered_amount)
            case "close":
                await peer.close(4001, "done")
            case "large":
                await peer.send("x" * 131_073)
            case "bytes":
                await peer.send(b"bytes")

    async def error(peer: Peer, exc: Exception) -> None:
        await peer.send(type(exc).__name__)

    handler = define_websocket_handler(upgrade=upgrade, message=message, error=error)
    """


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run an app with one WebSocket route, which needs no path."""
    folder = write_files(tmp_path_factory.mktemp("denied"), {"nitro.toml": SETTINGS, "handlers/talk.py": SOCKET})
    with run_gateway(build_project(folder), environment={}) as address:
        yield address.replace("http", "ws", 1) + "/talk"


def test_stream_without_streaming_is_refused_with_the_setting(tmp_path: Path) -> None:
    write_files(tmp_path, {"nitro.toml": SETTINGS, "handlers/feed.py": STREAM.format(options="", arguments="")})
    with pytest.raises(BuildError) as caught:
        plan_project(tmp_path)
    assert str(caught.value) == (
        "The route `/feed` needs `streaming`, which the preset `aws-lambda` cannot do.\n"
        "  at handlers/feed.py\n"
        '  hint: Set `aws.streaming = "function-url"`: without it Lambda holds a stream back until it ends.'
    )


def test_stream_of_a_topic_is_refused(tmp_path: Path) -> None:
    stream = STREAM.format(options="(topics=True)", arguments=', subscribe="news"')
    settings = SETTINGS + '    aws.streaming = "function-url"\n'
    write_files(tmp_path, {"nitro.toml": settings, "handlers/feed.py": stream})
    with pytest.raises(BuildError, match=r"`/feed` needs `topics\.sse`, which the preset `aws-lambda` cannot do"):
        plan_project(tmp_path)


def test_what_is_impossible_comes_without_the_setting_for_the_rest(tmp_path: Path) -> None:
    stream = STREAM.format(options="(topics=True)", arguments=', subscribe="news"')
    write_files(tmp_path, {"nitro.toml": SETTINGS, "handlers/feed.py": stream})
    with pytest.raises(BuildError) as caught:
        plan_project(tmp_path)
    assert str(caught.value) == (
        "The route `/feed` needs `streaming`, `topics.sse`, which the preset `aws-lambda` cannot do.\n"
        "  at handlers/feed.py\n"
        "  hint: Use a WebSocket route: a Lambda cannot hold a stream that other invocations feed."
    )


def test_sockets_of_a_mounted_application_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path, {"nitro.toml": SETTINGS, "handlers/shop/[...].py": MOUNTED})
    with pytest.raises(BuildError) as caught:
        plan_project(tmp_path)
    assert caught.value.message.startswith("The route `/shop/[...]` needs `websocket.mounted`")
    assert (
        caught.value.hint == "Write its sockets as hooks: a loop that waits for messages cannot live in a Lambda."
    )


def test_bytes_without_an_envelope_are_unsupported(url: str) -> None:
    with connect(url) as socket:
        socket.send("bytes")
        assert socket.recv(60) == "UnsupportedError"
        with pytest.raises(ConnectionClosed):
            socket.recv(60)


def test_message_over_the_limit_is_too_large(url: str) -> None:
    with connect(url) as socket:
        socket.send("large")
        assert socket.recv(60) == "MessageTooLargeError"


def test_nothing_is_buffered(url: str) -> None:
    with connect(url) as socket:
        socket.send("buffer")
        assert socket.recv(60) == "0"


def test_close_code_and_reason_do_not_reach_the_client(url: str) -> None:
    with connect(url) as socket:
        socket.send("close")
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(60)
    # API Gateway's own close frame.
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1000, "")


def test_headers_of_upgrade_and_body_of_a_refusal_do_not_reach_the_client(url: str) -> None:
    with connect(url) as socket:
        assert socket.response is not None
        assert "x-why" not in socket.response.headers
    with pytest.raises(InvalidStatus) as caught:
        connect(f"{url}?no=1")
    assert (caught.value.response.status_code, caught.value.response.body or b"") == (409, b"")
