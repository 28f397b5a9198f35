"""A Runtime API on a real socket that keeps every byte a function sends it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.checkout import ROOT

PREFIX = "/2018-06-01/runtime"
PATIENCE = 60.0


@dataclass(slots=True)
class Post:
    """A request that a function made, while it comes and afterwards."""

    path: str
    headers: dict[str, str]
    raw: bytearray = field(default_factory=bytearray)
    complete: bool = False
    closed: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def chunks(self) -> list[bytes]:
        """The chunks that have come so far, as they were framed."""
        return split_chunks(bytes(self.raw))[0]

    @property
    def trailers(self) -> dict[str, str]:
        """The fields after the last chunk."""
        return split_chunks(bytes(self.raw))[1] or {}

    @property
    def prelude(self) -> dict[str, Any]:
        """What came before the eight NULs."""
        text, _, _ = b"".join(self.chunks).partition(bytes(8))
        prelude: dict[str, Any] = json.loads(text)
        return prelude

    @property
    def body(self) -> bytes:
        """What came after the eight NULs."""
        return b"".join(self.chunks).partition(bytes(8))[2]

    def json(self) -> Any:
        """Read a body that was not streamed."""
        return json.loads(self.raw)

    def late_error(self) -> Any:
        """Read the error in the trailers."""
        return json.loads(base64.b64decode(self.trailers["lambda-runtime-function-error-body"]))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of the request."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


def split_chunks(raw: bytes) -> tuple[list[bytes], dict[str, str] | None]:
    """Split a chunked body into its chunks, and the trailers once it has ended."""
    chunks: list[bytes] = []
    while b"\r\n" in raw:
        size, _, rest = raw.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            if rest == b"\r\n":
                return chunks, {}
            if not rest.endswith(b"\r\n\r\n"):
                break
            pairs = [line.partition(": ") for line in rest.decode().strip().split("\r\n")]
            return chunks, {name.lower(): value for name, _, value in pairs}
        if len(rest) < length + 2:
            break
        assert rest[length : length + 2] == b"\r\n"
        chunks.append(rest[:length])
        raw = rest[length + 2 :]
    return chunks, None


class RuntimeAPI:
    """Hands out events and keeps what comes back.

    Args:
        status: What it answers to a response.
    """

    def __init__(self, status: int = 202) -> None:
        self.address = ""
        self.polls = 0
        self.connections = 0
        self.restored = asyncio.Event()
        self._status = status
        self._events: asyncio.Queue[tuple[bytes, dict[str, str]]] = asyncio.Queue()
        self._posts: asyncio.Queue[Post] = asyncio.Queue()
        self._polled = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()

    async def invoke(
        self, event: object, *, seconds: float = 30.0, trace: str | None = None, id: str = "1"
    ) -> Post:
        """Hand out an event and return the request that answers it, once its head has come."""
        headers = {
            "Lambda-Runtime-Aws-Request-Id": id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:1:function:app",
        }
        if trace is not None:
            headers["Lambda-Runtime-Trace-Id"] = trace
        self._events.put_nowait((json.dumps(event).encode(), headers))
        return await self.next_post()

    async def next_post(self) -> Post:
        """Return the next request that is no poll, once its head has come."""
        return await asyncio.wait_for(self._posts.get(), PATIENCE)

    async def whole(self, event: object, **options: Any) -> Post:
        """Hand out an event and return the request that answers it, once it is complete."""
        post = await self.invoke(event, **options)
        await post.until(lambda: post.complete)
        return post

    async def until_polled(self, count: int) -> None:
        """Wait until the function has asked for its next event this often: all before is over then."""
        async with asyncio.timeout(PATIENCE):
            while self.polls < count:
                self._polled.clear()
                await self._polled.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(task)
        try:
            await asyncio.wait({task})
        finally:
            writer.close()

    async def close(self) -> None:
        """End all connections."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        post: Post | None = None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path, _ = head.split(" ", 2)
                pairs = [line.partition(": ") for line in head.strip().split("\r\n")[1:]]
                headers = {name.lower(): value for name, _, value in pairs}
                if method == "GET":
                    await reader.readexactly(int(headers["content-length"]))
                    await self._give(path, writer)
                    continue
                post = Post(path, headers)
                self._posts.put_nowait(post)
                await self._take(post, reader)
                writer.write(f"HTTP/1.1 {self._status} X\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        if post is not None:
            post.closed = True
            post.changed.set()

    async def _give(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == f"{PREFIX}/restore/next":
            await self.restored.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        assert path == f"{PREFIX}/invocation/next"
        self.polls += 1
        self._polled.set()
        payload, headers = await self._events.get()
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(payload)}\r\n{fields}\r\n"
        writer.write(head.encode() + payload)

    async def _take(self, post: Post, reader: asyncio.StreamReader) -> None:
        if post.headers.get("transfer-encoding") == "chunked":
            while split_chunks(bytes(post.raw))[1] is None:
                piece = await reader.read(65536)
                if not piece:
                    raise ConnectionResetError
                post.raw += piece
                post.changed.set()
        else:
            post.raw += await reader.readexactly(int(post.headers["content-length"]))
        post.complete = True
        post.changed.set()


@contextlib.asynccontextmanager
async def serve_api(status: int = 202) -> AsyncIterator[RuntimeAPI]:
    """Run a Runtime API on a free port."""
    api = RuntimeAPI(status)
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    api.address = f"{host}:{port}"
    try:
        yield api
    finally:
        server.close()
        await api.close()


def write_stubs(folder: Path) -> None:
    """Write into a folder what the build puts beside the handlers."""
    templates = files("nitro_presets.aws_lambda") / "templates"
    for name in ("nitro_bootstrap.py", "nitro_http.py", "nitro_wrapper.sh"):
        (folder / name).write_bytes((templates / f"{name}.txt").read_bytes())
    (folder / "nitro_wrapper.sh").chmod(0o755)


@contextlib.asynccontextmanager
async def run_function(
    folder: Path,
    handler: str,
    api: RuntimeAPI,
    environ: Mapping[str, str] | None = None,
    descriptors: tuple[int, ...] = (),
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the function of a folder as Lambda does, through the wrapper; its output goes to `log` there."""
    command = [str(folder / "nitro_wrapper.sh"), sys.executable, "/var/runtime/bootstrap.py"]
    environment = os.environ | {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "app",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "LAMBDA_TASK_ROOT": str(folder),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "presets"))),
        "_HANDLER": handler,
        **(environ or {}),
    }
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=log, stderr=log, pass_fds=descriptors
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            process.kill()
            raise
