"""WebSocket upgrades: refusals, what `Upgrade` says, origins."""

from __future__ import annotations

from typing import Any

import pytest

from nitro_py.testing.answers import UpgradeRefused
from nitro_py.testing.conformance.suite.steps import make_key, read_journal
from nitro_py.testing.conformance.target import Target, requires

GREETING: dict[str, Any] = {"context": {}, "namespace": "/ws/upgrade/plain", "protocol": None}


async def refuse(target: Target, path: str, **options: Any) -> UpgradeRefused:
    """Try to open a socket, and return the refusal."""
    with pytest.raises(UpgradeRefused) as caught:
        async with target.connect(path, **options):
            pass
    return caught.value


@pytest.mark.anyio
class Upgrades:
    """Tests `upgrade(request)` and what stands around it."""

    @requires("websocket")
    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("response", 403),
            ("starlette", 451),
            ("value", 500),
            ("error", 402),
            ("crash", 500),
            ("starlette_error", 401),
            ("returned", 409),
            ("field", 500),
            ("handshake", 500),
            ("own_protocol", 500),
            ("protocol", 500),
        ],
    )
    async def test_upgrade_hook_refuses(self, target: Target, kind: str, status: int) -> None:
        """Check W2 of the contract."""
        key = make_key()
        refused = await refuse(target, f"/ws/upgrade/{kind}?key={key}")
        assert refused.status == status
        # Neither `open` nor `close`: there never was a socket.
        assert await read_journal(target, key) == [f"upgrade {kind}"]

    @requires("websocket")
    async def test_page_is_told_where_a_socket_is(self, target: Target) -> None:
        """Check W19 of the contract."""
        url = (await target.request("GET", "/ws/where")).text
        assert url == "/ws/echo?a=1"
        async with target.connect(url) as socket:
            await socket.send("hello")
            assert await socket.receive() == "hello"

    @requires("websocket.refusal-body")
    async def test_refusal_carries_headers_and_body(self, target: Target) -> None:
        """Check W2 of the contract."""
        response = await refuse(target, "/ws/upgrade/response")
        assert (response.body, response.headers["x-why"]) == (b'{"no":"entry"}', "closed")
        assert (await refuse(target, "/ws/upgrade/starlette")).body == b"not today"
        error = await refuse(target, "/ws/upgrade/error")
        assert error.body == b'{"status":402,"message":"pay first","data":{"price":1}}'
        for kind in ("crash", "protocol"):
            failed = await refuse(target, f"/ws/upgrade/{kind}")
            assert failed.body == b'{"status":500,"message":"Internal Server Error","data":null}'

    @requires("websocket")
    @pytest.mark.parametrize("path", ["/nowhere", "/rules", "/", "/ws/upgrade/a/b", "/hello.txt"])
    async def test_path_without_socket_route_never_gives_a_socket(self, target: Target, path: str) -> None:
        """Check W4 of the contract."""
        assert (await refuse(target, path)).status == 404

    @requires("websocket")
    @pytest.mark.parametrize(("guard", "status"), [("answer", 401), ("error", 429), ("value", 403)])
    async def test_middleware_refuses(self, target: Target, guard: str, status: int) -> None:
        """Check W4 and R8 of the contract."""
        key = make_key()
        refused = await refuse(target, f"/ws/upgrade/plain?key={key}", headers={"x-guard": guard})
        assert refused.status == status
        assert await read_journal(target, key) == []

    @requires("websocket", "websocket.mounted")
    @pytest.mark.parametrize(("guard", "status"), [("answer", 401), ("error", 429), ("value", 403)])
    async def test_middleware_refuses_before_a_mounted_application(
        self, target: Target, guard: str, status: int
    ) -> None:
        """Check W4 and R8 of the contract."""
        assert (await refuse(target, "/mounted_sockets/echo", headers={"x-guard": guard})).status == status

    @requires("websocket.upgrade-headers")
    async def test_middleware_runs_around_the_upgrade(self, target: Target) -> None:
        """Check R8 of the contract."""
        async with target.connect("/ws/upgrade/plain", headers={"x-guard": "silent"}) as socket:
            assert socket.headers["x-trace"] == "first before, guard before, first after"

    @requires("websocket")
    async def test_upgrade_hook_is_optional(self, target: Target) -> None:
        """Check W1 of the contract."""
        async with target.connect("/ws/echo") as socket:
            await socket.send("hello")
            assert await socket.receive_text() == "hello"

    @requires("websocket.upgrade-headers")
    async def test_upgrade_sets_headers(self, target: Target) -> None:
        """Check W2 of the contract."""
        async with target.connect("/ws/upgrade/headers") as socket:
            assert (socket.headers["x-room"], socket.headers["set-cookie"]) == ("blue", "seat=7")

    @requires("websocket")
    async def test_upgrade_names_the_subprotocol(self, target: Target) -> None:
        """Check W2 of the contract."""
        async with target.connect("/ws/upgrade/protocol", subprotocols=["chat.v1", "chat.v2"]) as socket:
            assert socket.subprotocol == "chat.v2"
            assert (await socket.receive_json())["protocol"] == "chat.v2"

    @requires("websocket")
    async def test_no_subprotocol_is_accepted_unless_named(self, target: Target) -> None:
        """Check W2 of the contract."""
        async with target.connect("/ws/upgrade/plain", subprotocols=["chat.v1", "chat.v2"]) as socket:
            assert (socket.subprotocol, await socket.receive_json()) == (None, GREETING)

    @requires("websocket")
    async def test_subprotocol_that_was_not_offered_is_never_accepted(self, target: Target) -> None:
        """Check W2 of the contract."""
        assert (await refuse(target, "/ws/upgrade/protocol", subprotocols=["chat.v1"])).status == 500

    @requires("websocket")
    async def test_upgrade_starts_the_context(self, target: Target) -> None:
        """Check W2 of the contract."""
        path = "/ws/upgrade/context?name=ada%20l"
        async with target.connect(path, headers={"cookie": "id=7"}) as socket:
            assert (await socket.receive_json())["context"] == {"name": "ada l", "cookie": "7"}

    @requires("websocket")
    @pytest.mark.parametrize("path", ["/ws/upgrade/plain/", "/ws/upgrade/pl%61in", "/ws/%75pgrade/plain//"])
    async def test_spelling_of_a_path_changes_no_namespace(self, target: Target, path: str) -> None:
        """Check R3 and T2 of the contract."""
        async with target.connect(path) as socket:
            assert await socket.receive_json() == GREETING

    @requires("websocket")
    async def test_upgrade_names_the_namespace(self, target: Target) -> None:
        """Check W2 of the contract."""
        async with target.connect("/ws/upgrade/namespace") as socket:
            assert (await socket.receive_json())["namespace"] == "shared"

    @requires("websocket.refusal-body")
    @pytest.mark.parametrize("kind", ["data", "nan_value"])
    async def test_refusal_that_cannot_be_sent_is_500(self, target: Target, kind: str) -> None:
        """Check H13 of the contract."""
        refused = await refuse(target, f"/ws/upgrade/{kind}")
        assert refused.body == b'{"status":500,"message":"Internal Server Error","data":null}'

    @requires("websocket")
    async def test_missing_parameter_refuses_with_400(self, target: Target) -> None:
        """Check H11 of the contract."""
        assert (await refuse(target, "/ws/rich")).status == 400

    @requires("websocket")
    async def test_page_of_the_same_host_passes(self, target: Target) -> None:
        """Check W5 of the contract."""
        headers = {"host": "app.example:8080"}
        async with target.connect(
            "/ws/upgrade/plain", origin="http://app.example:8080", headers=headers
        ) as socket:
            assert await socket.receive_json() == GREETING

    @requires("websocket")
    @pytest.mark.parametrize(
        "origin",
        [
            "http://elsewhere.example",
            "http://app.example",
            "http://app.example:8081",
            "http://app.example:8080.elsewhere.example",
            "http://sub.app.example:8080",
            "http://localhost:8080",
            "null",
        ],
    )
    async def test_foreign_page_is_refused_before_any_hook(self, target: Target, origin: str) -> None:
        """Check W5 of the contract."""
        key = make_key()
        headers = {"host": "app.example:8080"}
        refused = await refuse(target, f"/ws/upgrade/plain?key={key}", origin=origin, headers=headers)
        assert refused.status == 403
        assert await read_journal(target, key) == []

    async def test_plain_request_to_a_socket_route_is_426(self, target: Target) -> None:
        """Check W1 of the contract."""
        answer = await target.request("GET", "/ws/echo")
        assert (answer.status, answer.json()["status"]) == (426, 426)
        assert answer.headers["upgrade"] == "websocket"

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_plain_request_goes_to_the_http_hook(self, target: Target, method: str) -> None:
        """Check W1 of the contract."""
        answer = await target.request(method, "/ws/http")
        assert (answer.status, answer.json()) == (200, {"plain": method})

    @requires("websocket")
    async def test_socket_route_with_an_http_hook_still_has_sockets(self, target: Target) -> None:
        """Check W1 of the contract."""
        async with target.connect("/ws/http") as socket:
            await socket.send("hello")
            assert await socket.receive_text() == "hello"
