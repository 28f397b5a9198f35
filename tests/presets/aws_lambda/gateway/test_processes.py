from __future__ import annotations

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nitro_presets.aws_lambda.gateway.quotas import Quotas
from tests.presets.aws_lambda.gateway.bundles import PATIENCE, OpenSite, Site, write_bundle
from tests.presets.aws_lambda.gateway.test_lambda_api import invoke
from tests.process_states import is_alive

pytestmark = pytest.mark.anyio


async def ask(site: Site, **order: Any) -> Any:
    """Has the function do something, and reads what it returns."""
    return json.loads((await invoke(site, order))["Payload"])


async def test_process_is_frozen_between_invocations(open_gateway: OpenSite) -> None:
    async with open_gateway(concurrency=1) as site:
        before = await ask(site, do="ticks", sleep=0.3)
        assert before > 5
        await site.gateway.idle()
        # In which it would count to 200; it goes on while it is asked.
        await asyncio.sleep(2.0)
        after = await ask(site, do="ticks")
        assert before <= after < before + 100


async def test_process_works_on_until_it_asks_for_more(open_gateway: OpenSite, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with open_gateway(concurrency=1) as site:
        # It answers, though it does not end before it may.
        first = await ask(site, do="ticks", linger_until=str(gate))
        await asyncio.sleep(2.0)
        gate.touch()
        assert await ask(site, do="ticks") > first + 20
        assert len({note["pid"] for note in site.notes()}) == 1


async def test_process_is_kept_for_the_next_call(open_gateway: OpenSite) -> None:
    async with open_gateway(concurrency=4) as site:
        for _ in range(3):
            await ask(site)
            await site.gateway.idle()
        assert len({note["pid"] for note in site.notes()}) == 1


async def test_time_is_up(open_gateway: OpenSite, caplog: pytest.LogCaptureFixture) -> None:
    async with open_gateway({"websocket": {"timeout": 3}}) as site:
        assert 0.5 < (await ask(site), site.notes()[0]["seconds"])[1] <= 3.0
        told = await ask(site, sleep=60)
        assert told["errorType"] == "Sandbox.Timedout"
        assert "timed out after 3.00 seconds" in told["errorMessage"]
        await ask(site)
        assert len({note["pid"] for note in site.notes()}) == 2
    assert "Task timed out" in caplog.text


async def test_time_is_up_after_the_answer_too(open_gateway: OpenSite) -> None:
    async with open_gateway({"websocket": {"timeout": 3}}) as site:
        await ask(site, linger=60)
        await site.gateway.idle()
        await ask(site)
        assert len({note["pid"] for note in site.notes()}) == 2


async def test_function_that_cannot_start_says_why(open_gateway: OpenSite) -> None:
    async with open_gateway(environment={"FAIL_START": "1"}) as site:
        assert (await invoke(site, {}))["FunctionError"] == "Unhandled"
        assert (await ask(site))["errorMessage"] == "no start"


async def test_function_may_take_only_so_long_to_start(open_gateway: OpenSite) -> None:
    slow = {"START_SECONDS": "5"}
    async with open_gateway({"websocket": {"timeout": 1}}, limits=Quotas(init=0.0), environment=slow) as site:
        told = await ask(site)
        assert told["errorType"] == "Sandbox.Timedout"
        assert "did not start within 1.00 seconds" in told["errorMessage"]


async def test_start_that_fails_is_tried_again_in_the_invocation(
    open_gateway: OpenSite, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_gateway(environment={"FAIL_START_UNLESS": str(tmp_path / "tried")}) as site:
        assert "statusCode" in await ask(site)
        assert "[websocket 1] INIT failed, and is tried again: no start" in caplog.text
        assert site.gateway.describe_work() == ["websocket: 1 invocation, 1 cold start"]


async def test_start_that_takes_too_long_is_tried_again_in_the_time_of_the_invocation(
    open_gateway: OpenSite, caplog: pytest.LogCaptureFixture
) -> None:
    functions = {"websocket": {"timeout": 60}}
    async with open_gateway(functions, limits=Quotas(init=0.0), environment={"START_SECONDS": "2"}) as site:
        assert "statusCode" in await ask(site)
        assert "did not start within 0.00 seconds" in caplog.text
        # The start is part of the invocation, and takes of its time.
        assert site.notes()[0]["seconds"] <= 58


async def test_files_of_a_package_are_as_old_as_in_its_archive(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        assert await ask(site, do="time") == datetime(1980, 1, 1, tzinfo=UTC).timestamp()


async def test_second_answer_is_refused(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        await ask(site, do="return", value=1)
        noted = (await site.wait_for(lambda: site.notes("status")))[0]
        assert (noted["status"], noted["again"]) == (202, 403)


async def test_killed_processes_are_replaced(open_gateway: OpenSite) -> None:
    async with open_gateway() as site:
        await ask(site)
        (pid,) = site.gateway.pids("websocket")
        await site.gateway.kill("websocket")
        assert not is_alive(pid)
        assert "statusCode" in await ask(site)
        assert site.gateway.pids("websocket") != (pid,)


async def test_environment_is_lambdas_and_nothing_of_ours(
    open_gateway: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THIS_MACHINE", "1")
    functions = {"websocket": {"environment": {"OWN": "x"}, "memory": 256, "ordered": True}}
    async with open_gateway(functions) as site:
        told = await ask(site, do="environment")
        assert "SECRET_OF_THIS_MACHINE" not in told
        assert not [folder for folder in told["path"] if folder.endswith("site-packages")]
        assert (told["OWN"], told["_HANDLER"]) == ("x", "nitro_websocket.handler")
        assert (told["AWS_LAMBDA_FUNCTION_NAME"], told["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) == ("websocket", "256")
        assert told["NITRO_CALLBACK_URL"] == f"{site.gateway.url}/_aws/prod" == site.gateway.callback_url
        assert told["NITRO_TABLE"] == site.gateway.table
        assert told["NITRO_QUEUE_URL"] == site.gateway.queue_url
        assert told["AWS_ENDPOINT_URL_DYNAMODB"] == site.gateway.database_url
        assert told["LAMBDA_TASK_ROOT"].endswith("/output/server")


async def test_http_alone_has_no_table(open_gateway: OpenSite) -> None:
    async with open_gateway({"http": {}}) as site:
        answer = await invoke(site, {"do": "environment"}, FunctionName="http")
        told = json.loads(answer["Payload"])
        assert not {"NITRO_TABLE", "NITRO_CALLBACK_URL", "AWS_ENDPOINT_URL_DYNAMODB"} & told.keys()


async def test_output_is_logged_with_the_functions_name(
    open_gateway: OpenSite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nitro_py.aws.gateway")
    async with open_gateway() as site:
        await ask(site)
        await site.wait_for(lambda: "[websocket 1] hello nitro_websocket.handler" in caplog.text)


RUN = """
import asyncio, sys
from pathlib import Path
from nitro_presets.aws_lambda.gateway.gateway import Gateway

async def main():
    async with Gateway(Path(sys.argv[1]), environment={"LOG": sys.argv[2]}) as gateway:
        await gateway.invoke("http", b"{}")
        await gateway.idle()
        print(*gateway.pids("http"), flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


async def test_frozen_process_dies_with_a_gateway_that_is_killed(tmp_path: Any) -> None:
    write_bundle(tmp_path / "output", http={})
    command = [sys.executable, "-c", RUN, str(tmp_path / "output"), str(tmp_path / "log")]
    running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert running.stdout is not None
    pid = int(await asyncio.wait_for(running.stdout.readline(), 60))
    assert is_alive(pid)
    running.kill()
    await running.communicate()
    async with asyncio.timeout(PATIENCE):
        while is_alive(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
