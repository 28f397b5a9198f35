"""Rows about sockets: a topic with many subscribers, echoes, and connections that only wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from tests.benchmarks.programs import open_load
from tests.benchmarks.rows import OURS, Bench, Contender, Measure, Row, Sample, Target, measure_alone
from tests.benchmarks.served import Work, list_served, open_served
from tests.benchmarks.servers import (
    Command,
    on_bundle,
    on_granian,
    on_hypercorn,
    on_node,
    on_python,
    on_uvicorn,
    run_server,
)

Kind = Literal["chat", "echo"]

CROSSWS = "crossws on node"
# Open files are limited, often to 20,000 a process.
LARGEST = 15_000
SIZES = (LARGEST, 10_000, 5_000, 2_000, 1_000)
CROSSWS_SIZES = (LARGEST, 5_000, 1_000)
CHAT = """
    from nitro_py import Message, Peer, define_websocket_handler


    async def open(peer: Peer) -> None:
        await peer.subscribe("room")
        await peer.send("ready")


    async def message(peer: Peer, message: Message) -> None:
        await peer.publish("room", message.text())


    handler = define_websocket_handler(open=open, message=message)
"""
ECHO = """
    from nitro_py import Message, Peer, define_websocket_handler


    async def open(peer: Peer) -> None:
        await peer.send("ready")


    async def message(peer: Peer, message: Message) -> None:
        await peer.send(message.text())


    handler = define_websocket_handler(open=open, message=message)
"""


def make_project(settings: str = "") -> Mapping[str, str]:
    """Return the files of our chat and our echo."""
    toml = f"[tool.nitropy]\nexperimental.websocket = true\n{settings}\n"
    return {"pyproject.toml": toml, "handlers/chat.py": CHAT, "handlers/echo.py": ECHO}


def list_commands(kind: Kind) -> dict[str, Command]:
    """List the servers of sockets; none of them pings, so that only what is asked for is sent."""
    return {
        OURS: on_bundle("sockets", make_project("websocket.idle_timeout = 0")),
        CROSSWS: on_node("crossws_hooks.mjs", kind, "0"),
        "Starlette on uvicorn (sansio)": on_uvicorn("starlette_sockets:app", "--ws-ping-interval", "0"),
        "Starlette on granian": on_granian("starlette_sockets:app"),
        "picows, no framework": on_python("picows_sockets.py", kind),
    }


def describe_broadcast(subscribers: int) -> Work:
    """Describe publishing to so many subscribers."""

    def spread(deliveries: int) -> int:
        return max(deliveries // subscribers, 1)

    return Work(
        program="sockets",
        connect={"path": "/chat", "count": subscribers + 1},
        check="check_broadcast",
        question="broadcast",
        amount="publications",
        parts=subscribers,
        first=(spread(100_000), spread(40_000)),
        measured=(spread(200_000), spread(80_000)),
    )


def describe_echo(connections: int) -> Work:
    """Describe answering so many sockets."""
    return Work(
        program="sockets",
        connect={"path": "/echo", "count": connections},
        check="check_echo",
        question="echo",
        amount="messages",
        parts=connections,
        first=(500, 300),
        measured=(1_000, 300),
    )


def measure_idle(command: Command) -> Callable[[Bench], Sample]:
    """Make the measure of a server's growth by connections that only wait, on a new server each time."""

    def measure(bench: Bench) -> Sample:
        connections = bench.scale(5_000, 2_000)
        with run_server(bench, command) as server, open_load(bench, "sockets") as load:
            connect = {"do": "connect", "port": server.port, "path": "/echo"}
            load.ask(connect | {"count": 500})
            time.sleep(1)
            before = server.read_memory()
            load.ask(connect | {"count": connections})
            time.sleep(1)
            return Sample((server.read_memory() - before) / connections / 1000)

    return measure


def make_broadcast_row(subscribers: int, ratio: float) -> Row:
    """Make a row that publishes to so many subscribers."""
    return Row(
        name=f"broadcast-{subscribers}",
        title=f"broadcast to {subscribers:,} subscribers, a delivery",
        unit="µs of CPU",
        contenders=list_served(list_commands("chat"), describe_broadcast(subscribers)),
        target=Target(CROSSWS, ratio),
    )


def make_curve_row() -> Row:
    """Make the row that shows how the cost of a delivery grows with the subscribers of one process."""
    ours, crossws = (list_commands("chat")[name] for name in (OURS, CROSSWS))
    return Row(
        name="broadcast-curve",
        title=f"broadcast to {LARGEST:,} subscribers, a delivery",
        unit="µs of CPU",
        contenders=tuple(
            Contender(f"{name}, {size:,}", open_served(command, describe_broadcast(size)), size)
            for name, command, sizes in ((OURS, ours, SIZES), (CROSSWS, crossws, CROSSWS_SIZES))
            for size in sizes
        ),
        target=Target(f"{CROSSWS}, {LARGEST:,}", 1.0),
    )


FLOOD = {
    "handlers/size.post.py": """
        from nitro_py import Event, define_handler


        @define_handler
        async def handler(event: Event) -> int:
            return len(await event.body())
        """,
    "handlers/hello.get.py": """
        from nitro_py import Event, define_handler


        @define_handler
        async def handler(event: Event) -> str:
            return "hello"
        """,
}
# Attack → how the row calls it.
ATTACKS = {
    "texts": "1-byte texts",
    "fragments": "empty fragments",
    "pings": "pings",
    "compressed": "compressed messages",
    "chunks": "1-byte chunks of a body",
    "requests": "pipelined requests",
}
UVICORN = "Starlette on uvicorn (websockets)"
# What is told beside the median; some servers close the attacker's connection, which then comes again.
FLOOD_DETAILS = ("p99", "worst", "echoes", "closes", "megabits")
# How long an echo may take under each attack, in milliseconds: the median, and the slowest but 1%.
MAX_P50 = 5.0
MAX_P99 = 50.0


def list_flooded_commands() -> dict[str, Command]:
    """List who is flooded."""
    uvicorn = {
        # Not 0: that is no ping for two of them, and for `websockets` a flood of pings.
        f"Starlette on uvicorn ({ws})": on_uvicorn(
            "starlette_sockets:app", "--ws", ws, "--ws-ping-interval", "600"
        )
        for ws in ("websockets", "websockets-sansio", "wsproto")
    }
    return {
        OURS: on_bundle("flood", {**make_project("websocket.compression = true"), **FLOOD}),
        **uvicorn,
        "Starlette on hypercorn": on_hypercorn("starlette_sockets:app"),
        "Starlette on granian": on_granian("starlette_sockets:app"),
    }


def open_flooded(command: Command, attack: str) -> Callable[[Bench], AbstractContextManager[Measure]]:
    """Make the `open` of a contender whose victim asks for echoes while another connection attacks."""

    @contextmanager
    def open_contender(bench: Bench) -> Iterator[Measure]:
        with run_server(bench, command) as server, open_load(bench, "flood") as load:

            def measure() -> Sample:
                load.ask({"do": "connect", "port": server.port})
                echoes, seconds = bench.scale(500, 100), bench.scale(5, 1)
                answer = load.ask({"do": "flood", "attack": attack, "echoes": echoes, "seconds": seconds})
                # The attacker never rests, and is to be busy.
                return Sample(answer["p50"], {name: answer[name] for name in FLOOD_DETAILS})

            yield measure

    return open_contender


def make_flood_row(attack: str) -> Row:
    """Make a row of one attack."""
    commands = list_flooded_commands()
    return Row(
        name=f"flood-{attack}",
        title=f"an echo while another connection sends {ATTACKS[attack]}, the median",
        unit="ms",
        contenders=tuple(Contender(name, open_flooded(command, attack)) for name, command in commands.items()),
        target=Target(UVICORN, 2.0),
        limit=MAX_P50,
        limits={"p99": MAX_P99},
    )


def list_idle_commands() -> dict[str, Command]:
    """List who holds idle connections, each as it does by default, pings included."""
    return {
        OURS: on_bundle("idle", make_project()),
        CROSSWS: on_node("crossws_hooks.mjs", "echo", "30"),
        "Starlette on uvicorn (sansio)": on_uvicorn("starlette_sockets:app"),
    }


ROWS = (
    make_broadcast_row(1_000, 0.70),
    make_broadcast_row(5_000, 0.65),
    make_curve_row(),
    Row(
        name="echo",
        title="echo on 100 connections, a message",
        unit="µs of CPU",
        contenders=list_served(list_commands("echo"), describe_echo(100)),
        target=Target(CROSSWS, 0.70),
    ),
    Row(
        name="idle",
        title="an idle connection",
        unit="kB of memory",
        contenders=tuple(
            Contender(name, measure_alone(measure_idle(command))) for name, command in list_idle_commands().items()
        ),
        target=Target(CROSSWS, 0.60),
    ),
    *(make_flood_row(attack) for attack in ATTACKS),
)
