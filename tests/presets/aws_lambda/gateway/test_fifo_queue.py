from __future__ import annotations

import asyncio
import base64
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from nitro_presets.aws_lambda.aws_client.sqs import SqsClient
from nitro_presets.aws_lambda.gateway.gateway import FixedCredentials
from nitro_presets.aws_lambda.gateway.quotas import Quotas
from tests.presets.aws_lambda.gateway.bundles import OpenSite, Site, order

pytestmark = pytest.mark.anyio

ORDERED = {"websocket": {"ordered": True, "timeout": 10}}


def records(site: Site, noted: str = "start") -> list[dict[str, Any]]:
    """Return the messages that were received."""
    return [event["Records"][0] for event in site.events(noted=noted) if "Records" in event]


async def send(site: Site, body: str, group: str, dedup: str, **options: Any) -> dict[str, Any]:
    """Send with boto3."""
    arguments = {
        "QueueUrl": site.gateway.queue_url,
        "MessageBody": body,
        "MessageGroupId": group,
        "MessageDeduplicationId": dedup,
    } | options
    answer: dict[str, Any] = await asyncio.to_thread(lambda: site.client("sqs").send_message(**arguments))
    return answer


async def test_message_comes_as_the_stack_maps_it(open_gateway: OpenSite) -> None:
    async with open_gateway(ORDERED) as site, site.connect() as socket:
        await socket.send("héllo")
        (record,) = await site.wait_for(lambda: records(site))
        assert set(record) == {
            "attributes",
            "awsRegion",
            "body",
            "eventSource",
            "eventSourceARN",
            "md5OfBody",
            "messageAttributes",
            "messageId",
            "receiptHandle",
        }
        assert record["eventSource"] == "aws:sqs"
        assert record["eventSourceARN"].endswith(".fifo")
        assert record["attributes"]["MessageGroupId"] == await site.id()
        event = json.loads(record["body"])
        assert set(event) == {"requestContext", "body", "isBase64Encoded"}
        assert (event["isBase64Encoded"], base64.b64decode(event["body"]).decode()) == (True, "héllo")
        assert event["requestContext"]["eventType"] == "MESSAGE"
        assert event["requestContext"]["messageId"] == record["attributes"]["MessageDeduplicationId"]


async def test_messages_of_one_connection_come_one_at_a_time_in_order(
    open_gateway: OpenSite, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with open_gateway(ORDERED, concurrency=4) as site, site.connect() as one, site.connect() as two:
        for number in range(4):
            # The last ends only after the other's message has come.
            await order(one, sleep=0.1, number=number, **({"until": str(gate)} if number == 3 else {}))
        await order(two, sleep=0.1)
        await site.wait_for(lambda: len(records(site)) == 5)
        gate.touch()
        await site.wait_for(lambda: len(records(site, "end")) == 5)
        first = await site.id()
        groups: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
        for note in site.notes():
            for record in note["event"].get("Records", ()):
                groups[record["attributes"]["MessageGroupId"] == first].append(note)
        mine, (other,) = groups[True], groups[False]
        bodies = [json.loads(note["event"]["Records"][0]["body"])["body"] for note in mine]
        assert [json.loads(base64.b64decode(body))["number"] for body in bodies] == [0, 1, 2, 3]
        assert all(after["at"] - before["at"] >= 0.1 for before, after in pairwise(mine))
        last = next(note for note in site.notes("end") if note["event"] == mine[-1]["event"])
        assert other["at"] < last["at"]


async def test_connect_and_disconnect_come_past_the_queue(open_gateway: OpenSite) -> None:
    async with open_gateway(ORDERED) as site:
        async with site.connect():
            pass
        await site.wait_for_event("DISCONNECT")
        assert records(site) == []


async def test_message_that_fails_comes_again_before_the_next_one(open_gateway: OpenSite) -> None:
    limits = Quotas(visibility=1.0, receives=2)
    async with open_gateway(ORDERED, limits=limits) as site, site.connect() as socket:
        await order(socket, do="exit")
        await order(socket, number=2)
        await site.wait_for(lambda: records(site, "end"))
        await site.gateway.idle()
        counts = [record["attributes"]["ApproximateReceiveCount"] for record in records(site)]
        assert counts == ["1", "2", "1"]
        first, _, third = (note["at"] for note in site.notes() if "Records" in note["event"])
        # Twice the time-out, without the start of a process, which the first one waited for.
        assert third - first >= 1
        assert len(site.gateway.dead_letters) == 1
        # API Gateway has done its part once the message is in the queue.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.2)


async def test_queue_is_as_the_template_says(open_gateway: OpenSite, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def edit(template: str) -> str:
        assert "BatchSize: 1\n" in template
        return template.replace("BatchSize: 1\n", "BatchSize: 2\n")

    async with open_gateway(ORDERED, edit_template=edit) as site:
        await send(site, json.dumps({"until": str(gate)}), "a", "1")
        await site.wait_for(lambda: records(site))
        for number in "234":
            await send(site, "{}", "a", number)
        gate.touch()
        await site.gateway.idle()
        batches = [event["Records"] for event in site.events() if "Records" in event]
        ids = [[record["attributes"]["MessageDeduplicationId"] for record in batch] for batch in batches]
        assert ids == [["1"], ["2", "3"], ["4"]]


async def test_function_can_send_to_a_group(open_gateway: OpenSite) -> None:
    async with open_gateway(ORDERED) as site:
        first = await send(site, '{"sleep": 0.3}', "a=", "1")
        client = SqsClient(
            region=site.gateway.region, endpoint=f"{site.gateway.url}/_aws/sqs", credentials=FixedCredentials()
        )
        await client.send(site.gateway.queue_url, '{"second": 2}', group="a=", dedup="2")
        await client.close()
        # It was there before.
        assert (await send(site, '{"sleep": 0.3}', "a=", "1"))["MessageId"] == first["MessageId"]
        await site.gateway.idle()
        assert [record["body"] for record in records(site)] == ['{"sleep": 0.3}', '{"second": 2}']
        assert records(site)[0]["md5OfBody"] == first["MD5OfMessageBody"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"QueueUrl": "http://other/queue"}, "QueueDoesNotExist"),
        ({"MessageBody": "a" * (1024 * 1024 + 1)}, "InvalidParameterValue"),
    ],
)
async def test_message_that_cannot_be_is_refused(
    open_gateway: OpenSite, options: dict[str, Any], code: str
) -> None:
    async with open_gateway(ORDERED) as site:
        with pytest.raises(ClientError) as refused:
            await send(site, "{}", "a", "1", **options)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert refused.value.response["Error"]["Code"] == code
        assert records(site) == []
