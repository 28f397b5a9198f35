"""A real HTTP/1.1 server that does what its test tells it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from nitro_presets.aws_lambda.aws_client.credentials import Credentials
from nitro_presets.aws_lambda.aws_client.http import ConnectionPool, ServiceResponse
from nitro_presets.aws_lambda.aws_client.service import Retry

REGION = "eu-central-1"
CREDENTIALS = Credentials("AKIDEXAMPLE", "secret", "token")
QUICK = Retry(attempts=4, base=0.01, cap=0.02, deadline=2.0)


class FixedSource:
    """A source of the same credentials for ever."""

    async def get(self) -> Credentials:
        return CREDENTIALS


@dataclass(frozen=True, slots=True)
class Request:
    """What came, and on which of the connections, counted from 1."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the peer does about one request: writes the pieces with a pause before each, then may hang up."""

    pieces: tuple[bytes, ...]
    pause: float = 0.0
    hang_up: bool = False


def answer(status: int, body: bytes = b"", *headers: str, pause: float = 0.0, hang_up: bool = False) -> Answer:
    """Make an answer with a length."""
    fields = "".join(f"{header}\r\n" for header in headers)
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
    return Answer((head.encode() + body,), pause, hang_up)


OK = answer(200)
SILENCE = Answer((b"",), pause=30.0)
HANG_UP = Answer((), hang_up=True)


class Peer:
    """A service that answers requests in the order of a script, and with 200 after its end.

    Args:
        script: What to do about each request, whichever connection it comes on.
        context: Makes it speak TLS.
        port: Where it listens; anywhere by default.
    """

    def __init__(self, *script: Answer, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self._script: Iterable[Answer] = iter(script)
        self._context = context
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Peer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, ssl=self._context)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._context else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang_up(self) -> None:
        """End all connections, as a service does with those that rested too long."""
        for writer in self._writers:
            writer.close()

    async def wait_for_requests(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(60):
            while len(self.requests) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._serve(self.connections, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._writers.discard(writer)
            writer.transport.abort()

    async def _serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip("\r\n").split("\r\n")
            method, target, _ = first.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append(Request(number, method, target, headers, body))
            action = next(iter(self._script), OK)
            for piece in action.pieces:
                await asyncio.sleep(action.pause)
                writer.write(piece)
                await writer.drain()
            if action.hang_up:
                writer.close()
                return


async def ask(transport: ConnectionPool, body: bytes = b"") -> ServiceResponse:
    """Send a request whose answer does not matter."""
    return await transport.request("POST", "/", {}, body)
