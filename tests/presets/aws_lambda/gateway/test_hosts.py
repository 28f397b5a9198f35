"""The hosts that a preview of a bundle answers to, and those that its functions do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nitro_py.testing.conformance import JOURNAL, ServerTarget
from nitro_py.testing.conformance.suite.steps import make_key, read_journal
from nitro_py.testing.conformance.suite.upgrades import refuse
from tests.presets.aws_lambda.gateway.bundles import OpenSite
from tests.presets.aws_lambda.gateways import EnvelopeTarget, build_suite, run_gateway

pytestmark = pytest.mark.anyio

BOTH = {"http": {"event": "function-url"}, "websocket": {}}
MESSAGE = "The host `evil.example` is not in `server.allowed_hosts`."


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvelopeTarget]:
    """Run the suite's app with the setting, behind a gateway that checks nothing itself, as the stack's."""
    folder = tmp_path_factory.mktemp("hosts")
    output = build_suite(folder / "app", streaming="function-url")
    (folder / "journal").mkdir()
    environment = {JOURNAL: str(folder / "journal"), "NITRO_SERVER__ALLOWED_HOSTS": "app.example,127.0.0.1"}
    with run_gateway(output, environment=environment) as url:
        yield EnvelopeTarget(url)


@pytest.mark.parametrize("path", ["/plugins", "/nothing", "/hello.txt", "/mounted/", "/streaming/push"])
async def test_functions_refuse_other_hosts(functions: EnvelopeTarget, path: str) -> None:
    for host, status in (("evil.example", {403}), ("app.example", {200, 404})):
        answer = await functions.request("GET", path, headers={"host": host, "x-nitro-host": "app.example"})
        assert answer.status in status
        assert answer.status != 403 or answer.json() == {"status": 403, "message": MESSAGE, "data": None}
    assert (await functions.request("GET", "/_nitro/health", headers={"host": "evil.example"})).status == 200


async def test_function_refuses_handshakes_to_other_hosts(functions: EnvelopeTarget) -> None:
    key = make_key()
    headers = {"host": "evil.example"}
    path = f"/ws/upgrade/plain?key={key}"
    assert (await refuse(functions, path, origin="http://evil.example", headers=headers)).status == 403
    assert await read_journal(functions, key) == []
    async with functions.connect("/ws/echo", headers={"host": "app.example"}) as socket:
        await socket.send("hello")
        assert await socket.receive_text() == "hello"


@pytest.mark.parametrize("path", ["/a", "/_aws/prod/@connections/a", "/_aws/sqs", "/_nitro/publish"])
async def test_preview_refuses_other_hosts(open_gateway: OpenSite, path: str) -> None:
    settings = {"server": {"allowed_hosts": ["app.example"]}}
    async with open_gateway(BOTH, settings=settings, local_host="127.0.0.1", publish_token="t") as site:
        target = ServerTarget(site.gateway.url)
        refused = await target.request("GET", path, headers={"host": "evil.example"})
        assert (refused.status, refused.json()["message"].startswith(MESSAGE)) == (403, True)
        assert (await refuse(target, path, headers={"host": "evil.example"})).status == 403
        assert site.events() == []
        for host in ("localhost:3000", "a.localhost", "[::1]", "app.example"):
            answer = await target.request("GET", '/?order={"do":"environment"}', headers={"host": host})
            assert answer.json()["NITRO_LOCAL_HOST"] == "127.0.0.1"
