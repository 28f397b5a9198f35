"""Rows about HTTP: a JSON answer with few routes and with many, and events to many streams."""

from __future__ import annotations

from collections.abc import Mapping

from tests.benchmarks.rows import OURS, Row, Target
from tests.benchmarks.served import Work, list_served
from tests.benchmarks.servers import on_bundle, on_granian, on_node, on_uvicorn

STARLETTE = "Starlette on uvicorn"
H3 = "h3 on node"
CONNECTIONS = 50
ROUTES = 500
STREAMS = 500

HELLO = """
    from nitro_py import Event, define_handler


    @define_handler
    async def handler(event: Event) -> dict[str, str]:
        return {"message": "hello"}
"""
ITEM = """
    from nitro_py import Event, define_handler


    @define_handler
    async def handler(event: Event) -> dict[str, str]:
        return {"id": event.params["id"]}
"""
EVENTS = """
    from nitro_py import Event, EventStream, create_event_stream, define_handler


    @define_handler(topics=True)
    async def handler(event: Event) -> EventStream:
        stream = create_event_stream(event, subscribe="news")
        await stream.push("ready")
        return stream
"""
PUBLISH = """
    from nitro_py import Event, define_handler, publish


    @define_handler
    async def handler(event: Event) -> None:
        await publish("news", (await event.request.body()).decode())
"""


def make_routes(count: int) -> Mapping[str, str]:
    """Return a project of ours with so many routes, of which one is asked for."""
    others = {f"handlers/area{number}/[id].get.py": ITEM for number in range(count - 1)}
    return {"pyproject.toml": "[tool.nitropy]\n", "handlers/hello.get.py": HELLO, **others}


def make_streams() -> Mapping[str, str]:
    """Return our event streams, without comments, so that only what is published is sent."""
    return {
        "pyproject.toml": "[tool.nitropy]\nsse.heartbeat = 0\n",
        "handlers/events.get.py": EVENTS,
        "handlers/publish.post.py": PUBLISH,
    }


REQUESTS = Work(
    program="requests",
    connect={"path": "/hello", "count": CONNECTIONS, "expected": {"message": "hello"}},
    question="ask",
    amount="requests",
    parts=CONNECTIONS,
    first=(400, 200),
    measured=(800, 300),
    anew=True,
)
PUBLICATIONS = Work(
    program="streams",
    connect={"count": STREAMS},
    question="publish",
    amount="events",
    parts=STREAMS,
    first=(80, 40),
    measured=(160, 50),
)
REQUEST_COMMANDS = {
    OURS: on_bundle("hello", make_routes(1)),
    STARLETTE: on_uvicorn("starlette_http:app"),
    "bare ASGI on uvicorn": on_uvicorn("bare_asgi:app"),
    H3: on_node("h3_app.mjs"),
    "node:http": on_node("node_http.mjs"),
}
STREAM_COMMANDS = {
    OURS: on_bundle("streams", make_streams()),
    H3: on_node("h3_app.mjs"),
    STARLETTE: on_uvicorn("starlette_streams:app"),
    "Starlette on granian": on_granian("starlette_streams:app"),
    "sse-starlette on uvicorn": on_uvicorn("sse_starlette_streams:app"),
}
ONE_ROUTE = f"{OURS}, 1 route"
ROUTES_COMMANDS = {
    OURS: on_bundle("routes", make_routes(ROUTES)),
    ONE_ROUTE: REQUEST_COMMANDS[OURS],
    STARLETTE: on_uvicorn("starlette_http:app_with_500"),
}

ROWS = (
    Row(
        name="http",
        title="HTTP with a JSON answer, a request",
        unit="µs of CPU",
        contenders=list_served(REQUEST_COMMANDS, REQUESTS),
        target=Target(STARLETTE, 0.70),
    ),
    Row(
        name=f"http-{ROUTES}",
        title=f"the same with {ROUTES} routes",
        unit="µs of CPU",
        contenders=list_served(ROUTES_COMMANDS, REQUESTS),
        # Differences under 15 % come and go between two runs of the same.
        target=Target(ONE_ROUTE, 1.15),
    ),
    Row(
        name="sse",
        title=f"event to {STREAMS} streams, a stream",
        unit="µs of CPU",
        contenders=list_served(STREAM_COMMANDS, PUBLICATIONS),
        target=Target(H3, 0.40),
    ),
)
