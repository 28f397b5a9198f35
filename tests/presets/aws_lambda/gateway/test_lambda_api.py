from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from nitro_presets.aws_lambda.aws_client.invoke import LambdaClient
from nitro_presets.aws_lambda.gateway.gateway import FixedCredentials
from nitro_presets.aws_lambda.gateway.quotas import MIB, Quotas
from tests.presets.aws_lambda.gateway.bundles import OpenSite, Site

pytestmark = pytest.mark.anyio


async def invoke(site: Site, payload: object, kind: str = "RequestResponse", **options: Any) -> dict[str, Any]:
    """Invoke with boto3, and read the answer."""
    client = site.client("lambda")
    arguments = {"FunctionName": "websocket", "InvocationType": kind, "Payload": json.dumps(payload)} | options
    answer: dict[str, Any] = await asyncio.to_thread(lambda: client.invoke(**arguments))
    return answer | {"Payload": answer["Payload"].read()}


async def test_answer_is_given_to_who_waits(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        answer = await invoke(site, {"do": "return", "value": [1, "é"]})
        assert (answer["StatusCode"], json.loads(answer["Payload"])) == (200, [1, "é"])
        assert "FunctionError" not in answer


async def test_function_can_be_named_by_arn(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        arn = "arn:aws:lambda:eu-central-1:000000000000:function:websocket"
        assert (await invoke(site, {}, FunctionName=arn))["StatusCode"] == 200


@pytest.mark.parametrize(("do", "kind"), [("error", "ValueError"), ("exit", "Runtime.ExitError")])
async def test_error_is_an_answer_too(open_gateway: OpenSite, do: str, kind: str) -> None:
    async with open_gateway() as site:
        answer = await invoke(site, {"do": do})
        assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
        assert json.loads(answer["Payload"])["errorType"] == kind


async def test_asynchronous_call_is_accepted_before_it_runs_and_never_repeated(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        payload = {"do": "error", "sleep": 0.3}
        answer = await invoke(site, payload, "Event")
        assert (answer["StatusCode"], answer["Payload"]) == (202, b"")
        assert site.events(noted="end") == []
        await site.gateway.idle()
        assert site.events() == [payload]
        assert [json.loads(letter) for letter in site.gateway.dead_letters] == [payload]


async def test_asynchronous_call_that_succeeds_is_no_dead_letter(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        await invoke(site, {}, "Event")
        await site.gateway.idle()
        assert len(site.events(noted="end")) == 1
        assert site.gateway.dead_letters == ()


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"FunctionName": "other"}, 404, "ResourceNotFoundException"),
        ({"Payload": b"{"}, 400, "InvalidRequestContentException"),
        ({"Payload": json.dumps("a" * MIB).encode(), "InvocationType": "Event"}, 413, "RequestTooLargeException"),
        ({"InvocationType": "Soon"}, 400, "InvalidParameterValueException"),
    ],
)
async def test_call_that_cannot_be_is_refused(
    open_gateway: OpenSite, options: dict[str, Any], status: int, code: str
) -> None:
    async with open_gateway() as site:
        with pytest.raises(ClientError) as refused:
            await invoke(site, {}, **options)
        response = refused.value.response
        assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (status, code)
        assert site.events() == []


async def test_waited_for_call_may_be_larger(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        assert (await invoke(site, "a" * MIB))["StatusCode"] == 200


async def test_answer_has_a_size(open_gateway: OpenSite) -> None:
    async with open_gateway(limits=Quotas(payload=10_000)) as site:
        answer = await invoke(site, {"do": "large", "size": 10_000})
        assert json.loads(answer["Payload"])["errorType"] == "Function.ResponseSizeTooLarge"
        await site.wait_for(lambda: site.notes("status"))
        assert site.notes("status")[0]["status"] == 413


async def test_unsigned_call_is_forbidden(open_gateway: OpenSite) -> None:
    async with open_gateway() as site, httpx.AsyncClient() as client:
        url = f"{site.gateway.url}/_aws/2015-03-31/functions/websocket/invocations"
        assert (await client.post(url, content=b"{}")).status_code == 403
        assert site.events() == []


async def test_trace_is_handed_on_and_stops_circles(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        client = LambdaClient(
            region=site.gateway.region, endpoint=f"{site.gateway.url}/_aws", credentials=FixedCredentials()
        )
        trace: str | None = None
        for hop in range(1, 17):
            await client.invoke_async("websocket", b"{}", trace=trace)
            await site.gateway.idle()
            assert len(site.notes()) == hop
            trace = site.notes()[-1]["trace"]
        roots = {note["trace"].partition(";")[0] for note in site.notes()}
        assert len(roots) == 1
        await client.invoke_async("websocket", b'{"hop": 17}', trace=trace)
        await site.gateway.idle()
        assert len(site.notes()) == 16
        assert site.gateway.dead_letters == ('{"hop": 17}',)
        # Without the trace it is not noticed.
        await client.invoke_async("websocket", b"{}", trace=None)
        await site.gateway.idle()
        assert len(site.notes()) == 17
        await client.close()


async def test_sweep_is_the_schedules_event(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        await site.gateway.sweep()
        await site.gateway.idle()
        assert site.events(noted="end") == [{"nitro": {"kind": "sweep"}}]
