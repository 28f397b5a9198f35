"""The backplane on the LISTEN and NOTIFY of Postgres."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from nitro_py.backplane import Outgoing, Receive
from nitro_py.brokers.connection import ConnectionLoss, check_url, malformed_url, require_module
from nitro_py.errors import BackplaneError
from nitro_py.runtime.responsive_timeout import responsive_timeout

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.pq.abc import PGresult

# How long the server may be silent before it gets a question, and how long it has for an answer, in seconds.
PING_INTERVAL: Final = 3.0
ANSWER_TIMEOUT: Final = 5.0
# The largest message that a notification carries, in bytes: 8,000 hold it in base64, and its number.
MAX_NOTIFIED: Final = 5900
# The table of larger ones. How long they stay, and how often a connection removes older ones, in seconds.
TABLE: Final = "nitro_backplane_messages"
KEPT: Final = 300
CLEAN_INTERVAL: Final = 60.0
# The notifications that wait before no more are read.
_MAX_WAITING: Final = 1000
# The lock of those that make the table at the same time; any number that nothing else takes.
_LOCK: Final = 0x6E6974726F
# The code of the error that a user may not do what is asked for.
_FORBIDDEN: Final = "42501"
# Contents need not outlast a crash, in which the listeners are lost as well.
_CREATE: Final = f"""
    SELECT pg_advisory_xact_lock({_LOCK});
    CREATE UNLOGGED TABLE IF NOT EXISTS {TABLE} (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        created timestamptz NOT NULL DEFAULT now(),
        data bytea NOT NULL
    );
    CREATE INDEX IF NOT EXISTS {TABLE}_created ON {TABLE} (created)
"""


class PostgresBackplane:
    """A backplane on the notifications of a Postgres database.

    Args:
        url: The URL of the database, `postgres://` or `postgresql://`.
        prefix: What keeps the channels of apps apart.

    Raises:
        UsageError: The URL is not one of Postgres, or the package `psycopg` is missing.

    Example:
        PostgresBackplane("postgres://localhost/shop", "shop")
    """

    def __init__(self, url: str, prefix: str) -> None:
        check_url(url, "postgres", "postgresql")
        require_module("psycopg")
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict

        try:
            conninfo_to_dict(url)
        except ProgrammingError:
            # The client's own message would show a part of it, and the cause a traceback with it.
            raise malformed_url("postgres") from None
        self._url = url
        self._prefix = prefix

    async def connect(self, receive: Receive) -> PostgresConnection:
        """Open a session to publish and one to listen.

        Raises:
            BackplaneError: The server cannot be reached or refuses, or a pooler between keeps no sessions.
        """
        connection = PostgresConnection(self._prefix, receive)
        try:
            await connection.open(self._url)
        except BaseException:
            await connection.close()
            raise
        return connection


class PostgresConnection:
    """One connection, until either session is lost; made by `PostgresBackplane.connect`.

    Args:
        prefix: What keeps the channels of apps apart.
        receive: The function that takes received messages.
    """

    max_size: int | None = None

    def __init__(self, prefix: str, receive: Receive) -> None:
        self._prefix = prefix
        self._receive = receive
        self._publishing: PostgresSession
        self._listening: PostgresSession
        self._sessions: list[PostgresSession] = []
        self._incoming: deque[bytes] = deque()
        self._filled = asyncio.Event()
        # One transaction at a time publishes.
        self._transaction = asyncio.Lock()
        self._cleaned = time.monotonic()
        self._loss = ConnectionLoss()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, url: str) -> None:
        """Connect and begin to listen; `PostgresBackplane.connect` calls it."""
        for _ in range(2):
            self._sessions.append(await open_session(url, self._take, self._lose))
        self._publishing, self._listening = self._sessions
        await self._prepare_table()
        pid = await self._publishing.ask("SELECT pg_backend_pid()")
        if pid != b"%d" % self._publishing.pid:
            # Something between has a number of its own.
            await self._check_pooler()
        self._tasks = [asyncio.create_task(self._watch(work)) for work in (self._deliver(), self._ping())]

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Notify the listeners of messages in one transaction."""
        self._loss.check()
        async with self._transaction:
            large = any(len(data) > MAX_NOTIFIED for _, data in messages)
            if large:
                await self._publishing.run("BEGIN")
            notifications = []
            for number, (topic, data) in enumerate(messages):
                if len(data) > MAX_NOTIFIED:
                    id = await self._publishing.ask(f"INSERT INTO {TABLE} (data) VALUES ($1) RETURNING id", data)
                    payload = f"{number}@{(id or b'').decode()}"
                else:
                    payload = encode_payload(number, data)
                notifications.append((self._name(topic), payload))
            await self._notify(notifications)
            if large:
                await self._publishing.run("COMMIT")
                await self._clean()

    async def subscribe(self, topics: Sequence[str]) -> None:
        """Listen to topics."""
        await self._command("LISTEN", map(self._name, topics))

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Give topics up."""
        await self._command("UNLISTEN", map(self._name, topics))

    async def wait_lost(self) -> None:
        """Wait until the connection is lost."""
        await self._loss.wait()

    async def close(self) -> None:
        """End the connection."""
        self._lose("it was closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in self._sessions:
            await session.close()

    def _name(self, topic: str) -> str:
        """Return the channel of a topic: a name has at most 63 bytes, and a topic any text."""
        return f"nitro_{hashlib.sha256(f'{self._prefix}/{topic}'.encode()).hexdigest()[:48]}"

    async def _notify(self, notifications: Sequence[tuple[str, str]]) -> None:
        await self._publishing.run(
            "SELECT pg_notify(sent ->> 0, sent ->> 1) FROM json_array_elements($1::json) AS sent",
            json.dumps(notifications).encode(),
        )

    async def _clean(self) -> None:
        """Remove what listeners have read long ago, now and then."""
        if time.monotonic() - self._cleaned < CLEAN_INTERVAL:
            return
        self._cleaned = time.monotonic()
        await self._publishing.run(f"DELETE FROM {TABLE} WHERE created < now() - make_interval(secs => {KEPT})")

    async def _prepare_table(self) -> None:
        """Make the table for large messages; where that is forbidden and there is none, refuse them."""
        if await self._publishing.ask(f"SELECT to_regclass('{TABLE}')") is not None:
            return
        try:
            await self._publishing.run(_CREATE)
        except ForbiddenError:
            self.max_size = MAX_NOTIFIED

    async def _check_pooler(self) -> None:
        """Check that a notification comes through a pooler.

        Raises:
            BackplaneError: It does not: the pooler gives a session to one transaction only.
        """
        channel = self._name(f"session {os.urandom(16).hex()}")
        await self._command("LISTEN", [channel])
        await self._notify([(channel, encode_payload(0, b""))])
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT / 2):
                await self._filled.wait()
        except TimeoutError:
            raise BackplaneError(
                "Postgres: a pooler such as PgBouncer keeps no sessions (`pool_mode = transaction`), and "
                "notifications do not come through it. Set `NITRO_BACKPLANE_URL` to the server itself, or set "
                "`pool_mode = session`."
            ) from None
        await self._command("UNLISTEN", [channel])
        self._incoming.clear()
        self._filled.clear()

    async def _command(self, command: str, channels: Iterable[str]) -> None:
        """Send a command for each channel to the session that listens, and wait until all are done."""
        self._loss.check()
        await self._listening.run("; ".join(f'{command} "{channel}"' for channel in channels) or "SELECT 1")

    def _take(self, session: PostgresSession, payload: bytes) -> None:
        """Take a notification."""
        if session is self._publishing:
            # It listens to nothing: a pooler has given it the server's session of another.
            return
        self._incoming.append(payload)
        self._filled.set()
        if len(self._incoming) > _MAX_WAITING:
            session.pause()

    async def _deliver(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._incoming:
                data = await self._decode(self._incoming.popleft())
                if data is not None:
                    await self._receive(data)
            self._listening.resume()

    async def _decode(self, payload: bytes) -> bytes | None:
        """Return the message of a notification, or `None` if it is not ours or was removed long ago."""
        _, separator, data = payload.partition(b":")
        if separator:
            return base64.b64decode(data)
        _, separator, id = payload.partition(b"@")
        if not separator or not id.isdigit():
            return None
        return await self._publishing.ask(f"SELECT data FROM {TABLE} WHERE id = $1::text::bigint", id, binary=True)

    async def _ping(self) -> None:
        """Ask a server that is silent."""
        heard = self._listening.heard
        while True:
            try:
                async with asyncio.timeout(PING_INTERVAL):
                    await heard.wait()
            except TimeoutError:
                try:
                    async with responsive_timeout(ANSWER_TIMEOUT):
                        await self._listening.run("SELECT 1")
                except TimeoutError:
                    raise BackplaneError("The server does not answer.") from None
            heard.clear()

    async def _watch(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self._lose(describe(error))

    def _lose(self, reason: str) -> None:
        self._loss.note(reason)
        for session in self._sessions:
            session.lose(reason)


class ForbiddenError(BackplaneError):
    """The user of the database may not do what was asked for."""


async def open_session(
    url: str, take: Callable[[PostgresSession, bytes], None], note_lost: Callable[[str], None]
) -> PostgresSession:
    """Connect to a server.

    Args:
        url: The URL of the database.
        take: Called with the payload of each notification.
        note_lost: Called with the reason once the session is lost.

    Raises:
        BackplaneError: The server cannot be reached or refuses.
    """
    from psycopg import AsyncConnection, Error

    try:
        connection = await AsyncConnection.connect(
            url, autocommit=True, connect_timeout=int(ANSWER_TIMEOUT), application_name="nitropy"
        )
    except (Error, OSError) as error:
        raise BackplaneError(f"Postgres: {describe(error)}") from error
    return PostgresSession(connection, take, note_lost)


class PostgresSession:
    """A session of the server, read by libpq's own functions.

    While psycopg waits for notifications, it lets no command in; and where a command is cancelled, it waits for a
    server that may not answer.

    Args:
        connection: The connection, which nothing else uses from now on.
        take: Called with the payload of each notification.
        note_lost: Called with the reason once the session is lost.

    Attributes:
        heard: Set whenever the server has sent something.
    """

    def __init__(
        self,
        connection: AsyncConnection[Any],
        take: Callable[[PostgresSession, bytes], None],
        note_lost: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._take = take
        self._note_lost = note_lost
        self._loop = asyncio.get_running_loop()
        self.heard = asyncio.Event()
        self.pid = self._pgconn.backend_pid
        self._running = asyncio.Lock()
        self._results: list[PGresult] = []
        self._answer: asyncio.Future[None] | None = None
        self._problem: BackplaneError | None = None
        self._lost: str | None = None
        # What is read, if anything is: libpq forgets it when it closes a lost connection.
        self._descriptor: int | None = None
        self.resume()

    async def ask(self, query: str, *parameters: bytes, binary: bool = False) -> bytes | None:
        """Run a query and return the first value of its first row, `None` if there is none."""
        (result,) = await self.run(query, *parameters, binary=binary)
        return result.get_value(0, 0) if result.ntuples else None

    async def run(self, query: str, *parameters: bytes, binary: bool = False) -> list[PGresult]:
        """Run a query, or several without parameters, and return their results.

        Args:
            query: The query, with `$1` for the first parameter.
            parameters: Bytes as the server takes them: `bytea` as it is, and other types as text.
            binary: Whether values come as the server stores them, not as text.

        Raises:
            BackplaneError: The server refuses, or the session is lost.
        """
        from psycopg import Error

        async with self._running:
            self._check()
            self._results = []
            self._answer = answer = self._loop.create_future()
            try:
                if parameters or binary:
                    self._pgconn.send_query_params(
                        query.encode(), parameters, param_formats=[1] * len(parameters), result_format=int(binary)
                    )
                else:
                    self._pgconn.send_query(query.encode())
                self.resume()
                pause = 0.0
                while self._lost is None and self._pgconn.flush():
                    await asyncio.sleep(pause)
                    pause = 0.001
                await answer
            except asyncio.CancelledError:
                # The server may still do it, and its answer would be taken for that to the next query.
                self.lose("a query was given up")
                raise
            except Error as error:
                self.lose(describe(error))
            self._check()
            return self._results

    def pause(self) -> None:
        """Read no more until `resume`, or until a query is run."""
        if self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            self._descriptor = None

    def resume(self) -> None:
        """Read on."""
        if self._descriptor is None and self._lost is None:
            self._descriptor = self._pgconn.socket
            self._loop.add_reader(self._descriptor, self._read)

    def lose(self, reason: str) -> None:
        """End the session, and every wait for it; the first reason counts."""
        if self._lost is not None:
            return
        self._lost = reason
        self.pause()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)
        self._note_lost(reason)

    async def close(self) -> None:
        """Close the connection."""
        self.lose("it was closed")
        await self._connection.close()

    def _check(self) -> None:
        if self._lost is not None:
            raise BackplaneError(f"Postgres: {self._lost}")

    def _read(self) -> None:
        """Take what has come: notifications, and the results of a query."""
        from psycopg import Error

        self.heard.set()
        try:
            self._pgconn.consume_input()
            while (notification := self._pgconn.notifies()) is not None:
                self._take(self, notification.extra)
            if self._answer is not None and not self._answer.done():
                self._take_results(self._answer)
        except Error as error:
            self.lose(describe(error))

    def _take_results(self, answer: asyncio.Future[None]) -> None:
        from psycopg.pq import DiagnosticField, ExecStatus

        while not self._pgconn.is_busy():
            result = self._pgconn.get_result()
            if result is not None and result.status == ExecStatus.FATAL_ERROR:
                text = result.error_message.decode(errors="replace").strip()
                code = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
                kind = ForbiddenError if code == _FORBIDDEN else BackplaneError
                self._problem = kind(f"Postgres: {text}")
            elif result is not None:
                self._results.append(result)
            else:
                self._finish(answer)
                return

    def _finish(self, answer: asyncio.Future[None]) -> None:
        problem, self._problem = self._problem, None
        if problem is None:
            answer.set_result(None)
        else:
            answer.set_exception(problem)


def encode_payload(number: int, data: bytes) -> str:
    """Return the payload of a message; its number tells it apart from an equal one of the same transaction.

    Example:
        >>> encode_payload(3, b"hello")
        '3:aGVsbG8='
    """
    return f"{number}:{base64.b64encode(data).decode()}"


def describe(error: Exception) -> str:
    """Return the first line of an error's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
