"""A small app as a function package, and the events that gateways send for it."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nitro_py.capabilities import Capability
from nitro_py.runtime.manifest import MANIFEST_NAME, Manifest, Route
from tests.presets.aws_lambda.lambda_runtime.api import write_stubs
from tests.presets.aws_lambda.settings import aws_settings

Shape = Literal["httpapi", "function-url", "rest", "alb", "alb-multi"]
SHAPES: tuple[Shape, ...] = ("httpapi", "function-url", "rest", "alb", "alb-multi")

FILES = {
    "handlers/plugins/count.py": """
from collections.abc import AsyncIterator
from pathlib import Path
from nitro_py import define_plugin

LOG = Path(__file__).parents[2] / "plugin.log"

def note(text):
    with LOG.open("a") as log:
        log.write(text)

@define_plugin
async def count() -> AsyncIterator[None]:
    note("start ")
    yield
    note("stop ")
""",
    "handlers/api/show/[name].py": """
from nitro_py import define_handler

@define_handler
async def handler(event):
    event.response.headers.append("set-cookie", "a=1")
    event.response.headers.append("set-cookie", "b=2")
    event.response.headers["x-name"] = "gr\\u00fc\\u00df"
    return {
        "method": event.method,
        "name": event.params["name"],
        "query": event.query.getlist("q"),
        "cookies": dict(event.cookies),
        "body": (await event.body()).decode("latin-1"),
        "address": event.remote_address,
        "url": event.url,
        "hidden": [n for n in event.headers if n.startswith("x-nitro")] + [
            name for name in event.scope["aws.event"]["headers"] or {} if name.lower().startswith("x-nitro")
        ],
    }
""",
    "handlers/api/exits/[error].py": """
import asyncio
import builtins
from nitro_py import define_handler

async def fail(event):
    raise getattr(builtins, event.params["error"])

@define_handler
async def handler(event):
    if event.query.get("where") == "task":
        task = asyncio.create_task(fail(event))
        await asyncio.wait([task])
        return "went on" if task.exception() else "did not fail"
    if event.query.get("where") == "later":
        event.wait_until(fail(event))
        return "went on"
    await fail(event)
""",
    "handlers/api/plain/[error].py": """
import builtins
from nitro_py import define_handler

@define_handler
def handler(event):
    raise getattr(builtins, event.params["error"])
""",
    "handlers/api/pair.get.py": """
from nitro_py import define_handler

@define_handler
def handler(event):
    return {"made": True}, 201
""",
    "handlers/api/bytes.get.py": """
from nitro_py import define_handler

@define_handler
async def handler(event):
    return bytes(range(256))
""",
    "handlers/api/later.get.py": """
import asyncio
from pathlib import Path
from nitro_py import define_handler

async def work(event, name, then=None):
    await asyncio.sleep(0.1)
    while event.query.get("gate") and not (Path(__file__).parents[2] / "gate").exists():
        await asyncio.sleep(0.01)
    (Path(__file__).parents[2] / name).touch()
    if then:
        event.wait_until(work(event, then))

@define_handler
async def handler(event):
    event.wait_until(work(event, "later", "last"))
    return "soon"
""",
    "handlers/api/unsaid.get.py": """
from nitro_py import define_handler

@define_handler
async def handler(event):
    async def chunks():
        yield "chunk"
    return chunks()
""",
    "handlers/api/ticks.get.py": """
import asyncio
from pathlib import Path
from nitro_py import create_event_stream, define_handler, EventStream

FOLDER = Path(__file__).parents[2]

async def tick(event):
    n = 0
    try:
        while True:
            yield str(n)
            n += 1
            while event.query.get("gate") and not (FOLDER / "gate").exists():
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.02)
    finally:
        (FOLDER / "cleaned").touch()

@define_handler
async def handler(event) -> EventStream:
    event.response.headers.append("set-cookie", "a=1")
    event.response.headers.append("set-cookie", "b=2")
    return create_event_stream(event, tick(event))
""",
    "handlers/api/breaks.get.py": """
from collections.abc import AsyncIterator
from nitro_py import define_handler

@define_handler
async def handler(event) -> AsyncIterator[str]:
    yield "some"
    raise ValueError("out of ink")
""",
    "handlers/api/stubborn.get.py": """
import asyncio
from nitro_py import mount_asgi

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"some", "more_body": True})
    await asyncio.sleep(3600)

handler = mount_asgi(app)
""",
    "handlers/api/starlette.get.py": """
from nitro_py import define_handler
from starlette.responses import HTMLResponse

@define_handler
async def handler(event):
    event.response.headers["x-own"] = "1"
    response = HTMLResponse("<p>gr\u00fc\u00df</p>", 201)
    response.set_cookie("a", "1")
    return response
""",
    "handlers/api/lines.get.py": """
from collections.abc import AsyncIterator
from nitro_py import define_handler

@define_handler
async def handler(event) -> AsyncIterator[str]:
    for n in range(3):
        yield f"{n};"
""",
    "handlers/api/pieces.get.py": """
from nitro_py import define_handler
from starlette.responses import FileResponse, StreamingResponse

async def rows():
    for n in range(3):
        yield f"{n};"

@define_handler
async def handler(event):
    return FileResponse(__file__) if event.query.get("file") else StreamingResponse(rows())
""",
    "handlers/api/chat.py": 'raise RuntimeError("loaded by the HTTP function")\n',
    "handlers/api/room.py": """
from nitro_py import define_websocket_handler

async def page(event):
    return "the page"

handler = define_websocket_handler(http=page)
""",
}


def _route(path: str, kind: Literal["http", "sse", "websocket"] = "http", **options: Any) -> Route:
    methods: tuple[str, ...] = ()
    suffix = ""
    if kind != "websocket" and "[" not in path:
        methods, suffix = ("GET",), ".get"
    return Route(path, kind, methods, f"handlers{path}{suffix}.py", **options)


STREAMS: tuple[Capability, ...] = ("http", "streaming")
ROUTES = (
    _route("/api/breaks", "sse", requires=STREAMS),
    _route("/api/bytes"),
    _route("/api/chat", "websocket", hooks=("message",)),
    _route("/api/exits/[error]"),
    _route("/api/later"),
    _route("/api/lines", requires=STREAMS),
    _route("/api/pair"),
    _route("/api/pieces"),
    _route("/api/plain/[error]"),
    _route("/api/room", "websocket", hooks=("http",)),
    _route("/api/show/[name]"),
    _route("/api/starlette"),
    _route("/api/stubborn", mounted=True),
    _route("/api/ticks", "sse", requires=STREAMS),
    _route("/api/unsaid"),
)


def write_project(folder: Path, **aws: Any) -> Path:
    """Write the app's function package, with some settings below `aws`."""
    write_stubs(folder)
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    plugins = ("handlers/plugins/count.py",)
    manifest = Manifest("production", ROUTES, plugins=plugins, settings={"aws": aws_settings(**aws)})
    (folder / MANIFEST_NAME).write_text(manifest.to_json())
    return folder


@dataclass(frozen=True, slots=True)
class Invoked:
    """The context as awslambdaric passes it: it cannot defer, nor stream."""

    aws_request_id: str = "1"
    seconds: float = 30.0
    started: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return int((self.started + self.seconds - time.monotonic()) * 1000)


def make_event(
    shape: Shape,
    path: str,
    *,
    method: str = "GET",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    cookies: tuple[str, ...] = (),
    body: bytes | None = None,
) -> dict[str, Any]:
    """Make the event that a gateway sends for a request.

    Args:
        shape: The gateway.
        path: The path, percent-encoded.
        method: In capitals.
        query: The query string.
        headers: Header fields beside the gateway's own.
        cookies: Pairs as `name=value`.
        body: The body, sent as base64.
    """
    fields = {"host": "app.test", "x-forwarded-proto": "https", "x-forwarded-for": "9.9.9.9, 1.2.3.4"}
    fields |= headers or {}
    content = {} if body is None else {"body": base64.b64encode(body).decode()}
    common: dict[str, Any] = {**content, "isBase64Encoded": body is not None}
    if shape in ("httpapi", "function-url"):
        http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "1.2.3.4", "userAgent": "t"}
        # Function URLs send the cookies' header too.
        both = {"cookie": "; ".join(cookies)} if cookies and shape == "function-url" else {}
        return common | {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": fields | both,
            "requestContext": {
                "http": http,
                "stage": "$default",
                "routeKey": "$default",
                "domainName": "abc.lambda-url.eu-west-1.on.aws" if shape == "function-url" else "app.test",
            },
            **({"cookies": list(cookies)} if cookies else {}),
        }
    if cookies:
        fields["cookie"] = "; ".join(cookies)
    pairs = [pair.split("=") for pair in query.split("&") if pair]
    many: dict[str, list[str]] = {}
    for name, value in pairs:
        many.setdefault(name, []).append(value)
    event = common | {"path": path, "httpMethod": method}
    if shape == "rest":
        return event | {
            "resource": "/{proxy+}",
            "requestContext": {"identity": {"sourceIp": "1.2.3.4"}, "stage": "prod"},
            "headers": fields,
            "multiValueHeaders": {name: [value] for name, value in fields.items()},
            "queryStringParameters": dict(pairs) or None,
            "multiValueQueryStringParameters": many or None,
        }
    event["requestContext"] = {"elb": {"targetGroupArn": "arn"}}
    if shape == "alb":
        return event | {"headers": fields, "queryStringParameters": dict(pairs)}
    many_fields = {name: [value] for name, value in fields.items()}
    return event | {"multiValueHeaders": many_fields, "multiValueQueryStringParameters": many, "headers": None}
