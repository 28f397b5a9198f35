"""Rows about HTTP: a JSON answer with few routes and with many, and events to many streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from tests.benchmarks.programs import open_load
from tests.benchmarks.rows import OURS, Bench, Contender, Measure, Row, Sample, Target
from tests.benchmarks.servers import Command, on_bundle, on_granian, on_node, on_uvicorn, run_server

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
    """Gives a project of ours with so many routes, of which one is asked for."""
    others = {f"handlers/area{number}/[id].get.py": ITEM for number in range(count - 1)}
    return {"pyproject.toml": "[tool.nitropy]\n", "handlers/hello.get.py": HELLO, **others}


def make_streams() -> Mapping[str, str]:
    """Gives our event streams, without comments, so that only what is published is sent."""
    return {
        "pyproject.toml": "[tool.nitropy]\nsse.heartbeat = 0\n",
        "handlers/events.get.py": EVENTS,
        "handlers/publish.post.py": PUBLISH,
    }


def open_requests(command: Command) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Makes the `open` of a contender that answers requests."""

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        with run_server(bench, command) as server, open_load(bench, "requests") as load:
            connect = {"do": "connect", "port": server.port, "path": "/hello", "count": CONNECTIONS}

            def measure(requests: int) -> Sample:
                # Anew each time: servers close connections that were idle while the others had their turn.
                load.ask(connect | {"expected": {"message": "hello"}})
                before = server.read_cpu()
                answer = load.ask({"do": "ask", "requests": requests})
                used = server.read_cpu() - before
                return Sample(used / requests / CONNECTIONS * 1e6, answer)

            measure(bench.scale(400, 200))
            yield lambda: measure(bench.scale(800, 300))

    return open_contender


def open_streams(command: Command) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Makes the `open` of a contender that publishes to event streams."""

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        with run_server(bench, command) as server, open_load(bench, "streams") as load:
            load.ask({"do": "connect", "port": server.port, "count": STREAMS})

            def measure(events: int) -> Sample:
                before = server.read_cpu()
                answer = load.ask({"do": "publish", "events": events})
                used = server.read_cpu() - before
                return Sample(used / events / STREAMS * 1e6, answer)

            measure(bench.scale(80, 40))
            yield lambda: measure(bench.scale(160, 50))

    return open_contender


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
        contenders=tuple(Contender(name, open_requests(command)) for name, command in REQUEST_COMMANDS.items()),
        target=Target(STARLETTE, 0.70),
    ),
    Row(
        name=f"http-{ROUTES}",
        title=f"the same with {ROUTES} routes",
        unit="µs of CPU",
        contenders=tuple(Contender(name, open_requests(command)) for name, command in ROUTES_COMMANDS.items()),
        # Differences under 15 % come and go between two runs of the same.
        target=Target(ONE_ROUTE, 1.15),
    ),
    Row(
        name="sse",
        title=f"event to {STREAMS} streams, a stream",
        unit="µs of CPU",
        contenders=tuple(Contender(name, open_streams(command)) for name, command in STREAM_COMMANDS.items()),
        target=Target(H3, 0.40),
    ),
)
