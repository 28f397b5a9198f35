from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from nitro_presets.aws_lambda.gateway.quotas import Quotas
from tests.presets.aws_lambda.gateway.bundles import OpenSite, Site, order
from tests.presets.aws_lambda.gateway.test_handshake import ALWAYS, HANDSHAKE

pytestmark = pytest.mark.anyio

FRAME = 32 * 1024
MESSAGE = 128 * 1024
HANDSHAKE_LINES = ["GET / HTTP/1.1", "host: a", *(f"{name}: {value}" for name, value in HANDSHAKE.items()), ""]


async def wait_for_close(socket: Any) -> int:
    """Wait for the gateway's close, and return its code."""
    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(socket.recv(), 60)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


async def read_end(site: Site) -> tuple[int, str]:
    """Wait for `$disconnect`, and return its status and reason."""
    context = (await site.wait_for_event("DISCONNECT"))["requestContext"]
    return context["disconnectStatusCode"], context["disconnectReason"]


async def test_message_event_has_the_shape_of_aws(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect("/chat?a=1") as socket:
        await socket.send("héllo")
        event = await site.wait_for_event("MESSAGE")
        assert set(event) == {"requestContext", "body", "isBase64Encoded"}
        assert (event["body"], event["isBase64Encoded"]) == ("héllo", False)
        assert set(event["requestContext"]) == ALWAYS | {"messageId"}
        assert event["requestContext"]["routeKey"] == "$default"
        assert event["requestContext"]["connectionId"] == await site.id()


async def test_returned_body_goes_nowhere(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect() as socket:
        await socket.send("hi")
        await site.wait_for(lambda: site.events("MESSAGE", "end"))
        await site.gateway.idle()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.2)


@pytest.mark.parametrize("body", [{"do": "error"}, {"do": "exit"}, {"do": "return", "value": None}])
async def test_client_is_told_that_the_function_failed(open_gateway: OpenSite, body: dict[str, Any]) -> None:
    async with open_gateway() as site, site.connect() as socket:
        await order(socket, **body)
        told = json.loads(await socket.recv())
        context = (await site.wait_for_event("MESSAGE"))["requestContext"]
        assert told == {
            "message": "Internal server error",
            "connectionId": context["connectionId"],
            "requestId": context["requestId"],
        }
        await socket.send("the connection stays open")
        await site.wait_for(lambda: len(site.events("MESSAGE")) == 2)


async def test_client_is_told_that_the_function_took_too_long(open_gateway: OpenSite) -> None:
    async with open_gateway(limits=Quotas(integration=1.0)) as site, site.connect() as socket:
        await order(socket, sleep=4)
        assert json.loads(await socket.recv())["message"] == "Endpoint request timed out"
        # The invocation itself has all the time that the function has.
        await site.wait_for(lambda: site.events("MESSAGE", "end"))


async def test_messages_overlap(open_gateway: OpenSite, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with open_gateway(concurrency=3) as site, site.connect() as socket:
        for number in range(3):
            await order(socket, until=str(gate), number=number)
        await site.wait_for(lambda: len(site.events("MESSAGE")) == 3)
        gate.touch()
        await site.wait_for(lambda: len(site.events("MESSAGE", "end")) == 3)
        notes = [note for kind in ("start", "end") for note in site.notes(kind)]
        kinds = [note["kind"] for note in sorted(notes, key=lambda note: note["at"]) if "body" in note["event"]]
        assert kinds == ["start"] * 3 + ["end"] * 3
        assert len({note["pid"] for note in notes if "body" in note["event"]}) == 3


async def test_calls_beyond_the_concurrency_wait(open_gateway: OpenSite) -> None:
    async with open_gateway(concurrency=1) as site, site.connect() as socket:
        for number in range(3):
            await order(socket, sleep=0.1, number=number)
        await site.wait_for(lambda: len(site.events("MESSAGE", "end")) == 3)
        assert [json.loads(event["body"])["number"] for event in site.events("MESSAGE")] == [0, 1, 2]
        notes = [note for kind in ("start", "end") for note in site.notes(kind)]
        kinds = [note["kind"] for note in sorted(notes, key=lambda note: note["at"]) if "body" in note["event"]]
        assert kinds == ["start", "end"] * 3
        assert len({note["pid"] for note in notes}) == 1


async def test_binary_frame_closes_with_1003(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect() as socket:
        await socket.send(b"\x00")
        assert await wait_for_close(socket) == 1003
        assert (await read_end(site))[0] == 1003
        assert site.events("MESSAGE") == []


@pytest.mark.parametrize(
    ("fragments", "whole"),
    [
        ([FRAME], True),
        ([FRAME + 1], False),
        ([FRAME] * 4, True),
        ([FRAME] * 4 + [1], False),
        ([10, FRAME + 1], False),
    ],
)
async def test_frames_and_messages_have_a_size(open_gateway: OpenSite, fragments: list[int], whole: bool) -> None:
    async with open_gateway() as site, site.connect() as socket:
        await socket.send(["a" * size for size in fragments])
        if whole:
            event = await site.wait_for_event("MESSAGE")
            assert len(event["body"]) == sum(fragments) <= MESSAGE
            return
        assert await wait_for_close(socket) == 1009
        assert (await read_end(site))[0] == 1009
        assert site.events("MESSAGE") == []


async def test_every_message_has_its_own_size(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect() as socket:
        for _ in range(5):
            await socket.send("a" * FRAME)
        await site.wait_for(lambda: len(site.events("MESSAGE")) == 5)


async def test_client_that_is_still_sending_is_told_too(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        port = int(site.gateway.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write("".join(f"{line}\r\n" for line in HANDSHAKE_LINES).encode())
        await reader.readuntil(b"\r\n\r\n")
        # A frame of 8 MB, and the first of them.
        writer.write(b"\x81\xff" + (8_000_000).to_bytes(8, "big") + bytes(4) + b"a" * 1_000_000)
        assert await reader.readexactly(4) == b"\x88\x02" + (1009).to_bytes(2, "big")
        writer.close()


async def test_size_counts_bytes_of_fragmented_characters(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect() as socket:
        await socket.send(["é" * (FRAME // 2)] * 2)
        assert (await site.wait_for_event("MESSAGE"))["body"] == "é" * FRAME


async def test_disconnect_event_has_the_shape_of_aws(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        async with site.connect() as socket:
            await socket.close(4000, "bye")
        event = await site.wait_for_event("DISCONNECT")
        context = event["requestContext"]
        assert set(event) == {"headers", "isBase64Encoded", "multiValueHeaders", "requestContext"}
        assert set(context) == ALWAYS | {"disconnectStatusCode", "disconnectReason"}
        assert set(event["headers"]) == {"Host", "x-api-key", "X-Forwarded-For", "x-restapi"}
        assert (context["disconnectStatusCode"], context["disconnectReason"]) == (4000, "bye")
        assert context["connectionId"] == await site.id()
        assert len(site.gateway.connections) == 0


async def test_client_that_vanishes_is_told_as_1006(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        async with site.connect() as socket:
            socket.transport.abort()
        assert (await read_end(site))[0] == 1006


async def test_client_that_leaves_during_connect_is_told_afterwards(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        with pytest.raises(TimeoutError):
            await site.connect(order={"sleep": 0.6}, open_timeout=0.3).__aenter__()
        assert (await read_end(site))[0] == 1006
        assert site.notes("end")[0]["event"]["requestContext"]["eventType"] == "CONNECT"


async def test_close_without_a_status_is_1005(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        async with site.connect() as socket:
            socket.transport.write(b"\x88\x80\x00\x00\x00\x00")
            await socket.wait_closed()
        assert await read_end(site) == (1005, "Client-side close frame status not set")


@pytest.mark.parametrize("limits", [Quotas(idle=0.3), Quotas(life=0.3)], ids=["idle", "life"])
async def test_connection_ends_by_itself(open_gateway: OpenSite, limits: Quotas) -> None:
    async with open_gateway(limits=limits) as site, site.connect() as socket:
        assert await wait_for_close(socket) == 1001
        assert await read_end(site) == (1001, "Going away")


async def test_ping_is_answered(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect() as socket:
        await asyncio.wait_for(await socket.ping(b"x"), 60)
        assert site.events("MESSAGE") == []


async def test_text_that_is_no_utf8_closes_with_1007(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, site.connect() as socket:
        socket.transport.write(b"\x81\x81\x00\x00\x00\x00\xff")
        assert await wait_for_close(socket) == 1007
