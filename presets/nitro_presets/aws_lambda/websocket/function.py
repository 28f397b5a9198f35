"""The WebSocket function: from API Gateway's events to hooks, each in an invocation of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

from nitro_presets.aws_lambda.lambda_runtime.context import TimeLeft
from nitro_presets.aws_lambda.store.contract import ConnectionRow
from nitro_presets.aws_lambda.websocket.context import StoredContext, use_context
from nitro_presets.aws_lambda.websocket.envelope import unwrap_text
from nitro_presets.aws_lambda.websocket.events import read_body
from nitro_presets.aws_lambda.websocket.peer import AwsHub
from nitro_presets.aws_lambda.websocket.services import AwsServices, enter_depth
from nitro_py.encoding import encode_frame
from nitro_py.runtime.app import App
from nitro_py.runtime.hooks.errors import run_hook
from nitro_py.runtime.topics.names import check_namespace, check_topic
from nitro_py.websocket import CloseDetails, WebSocketHandler, maybe_await

logger = logging.getLogger("nitro_py.aws")

# The first and the longest pause while a message waits for an open hook that runs elsewhere, in seconds.
OPEN_PAUSE = 0.02
OPEN_PAUSE_MAX = 0.25
# How many connections the sweep ends at a time.
SWEEP_PAGE = 50

EVENT_TYPES = ("CONNECT", "DISCONNECT", "MESSAGE")

Answer = dict[str, Any]


class WebSocketFunction:
    """The handler of one app's WebSocket events.

    Args:
        app: The app, with an `AwsHub`.
        hub: The app's hub.
        services: The services.
    """

    def __init__(self, app: App, hub: AwsHub, services: AwsServices) -> None:
        self._app = app
        self._hub = hub
        self._services = services
        self._store = services.store

    async def start(self) -> None:
        """Load the hooks and start the plugins."""
        await self._app.start()

    async def stop(self) -> None:
        """Stop the plugins."""
        await self._app.stop()

    async def handle(self, event: dict[str, Any], time_left: TimeLeft, *, number: int | None = None) -> Answer:
        """Handle one event.

        Args:
            event: An event of API Gateway, a batch of SQS, or one that the function has sent itself.
            time_left: Returns the seconds that this invocation has left.
            number: The event's number in the queue, if it comes from there.
        """
        if not is_ours(event):
            # Benchmark row `lambda-cold-websocket`: most functions never see one.
            from nitro_presets.aws_lambda.foreign_event import ignore_event

            return ignore_event(event, "an event of a WebSocket API, or one of its own")
        await self._app.start()
        if "Records" in event:
            for record in event["Records"]:
                await self.handle(read_record(record), time_left, number=read_number(record))
            return {"statusCode": 200}
        if "nitro" in event:
            enter_depth(event["nitro"].get("hop", 0))
            await self._work(event["nitro"], time_left)
            return {"statusCode": 200}
        enter_depth(0)
        context = event["requestContext"]
        match context["eventType"]:
            case "CONNECT":
                # Benchmark row `lambda-cold-websocket`: not every process sees a handshake.
                from nitro_presets.aws_lambda.websocket.connect import connect

                return await connect(self._app, self._services, event)
            case "MESSAGE":
                await self._message(event, context["connectionId"], time_left, number)
            case "DISCONNECT":
                code, reason = context.get("disconnectStatusCode") or 1005, context.get("disconnectReason") or ""
                work = {"kind": "left", "id": context["connectionId"], "code": code, "reason": reason}
                if self._services.settings.ordered:
                    # After the peer's messages in the queue.
                    await self._services.start(work)
                else:
                    await self._work(work, time_left)
        return {"statusCode": 200}

    async def _message(self, event: dict[str, Any], id: str, time_left: TimeLeft, number: int | None) -> None:
        if number is None:
            row = await self._store.get_connection(id)
        else:
            claim = await self._store.take_message(id, number)
            if claim.outcome == "done":
                # The queue gives a message again whose invocation died, and the hook may have done its work.
                logger.error("Lost a message of peer %s: the invocation died that had begun with it.", id)
                return
            row = claim.row
        if row is not None and not row.closing and row.open_state in ("pending", "running"):
            row = await self._wait_for_open(id, time_left)
        if row is None or row.closing:
            logger.info("Dropped a message of peer %s, whose connection has ended.", id)
            return
        handler = await self._find_handler(row)
        if handler is None or handler.message is None:
            return
        peer = self._hub.make_peer(row, settled=True)
        data = unwrap_text(read_body(event), self._services.settings.binary)
        message_id = event["requestContext"].get("messageId")

        async def call() -> None:
            assert handler.message is not None
            await maybe_await(handler.message(peer, handler.read(data, peer, message_id)))

        context = StoredContext(self._store, peer)
        with use_context(context):
            await run_hook(call, handler, peer, row.route)
        await context.save()

    async def _wait_for_open(self, id: str, time_left: TimeLeft) -> ConnectionRow | None:
        """Run the open hook, or wait while another invocation runs it."""
        pause = OPEN_PAUSE
        while True:
            claim = await self._store.claim_open(id, time_left())
            if claim.outcome == "claimed" and claim.row is not None:
                # A peer whose open hook has failed gets no more messages.
                return await self._store.get_connection(id) if await self._open(claim.row) else None
            if claim.outcome != "running":
                return claim.row
            if time_left() < 2 * pause:
                raise TimeoutError(f"The open hook of peer `{id}` took longer than its message could wait.")
            await asyncio.sleep(pause)
            pause = min(2 * pause, OPEN_PAUSE_MAX)

    async def _open(self, row: ConnectionRow) -> bool:
        handler = await self._find_handler(row)
        if handler is None:
            return False
        peer = self._hub.make_peer(row)

        async def call() -> None:
            assert handler.open is not None
            await maybe_await(handler.open(peer))

        context = StoredContext(self._store, peer)
        with use_context(context):
            well = await run_hook(call, handler, peer, row.route)
        await context.save(open_token=row.open_token)
        return well

    async def _end(
        self, id: str, details: CloseDetails, time_left: TimeLeft, *, disconnected: bool = False
    ) -> None:
        """End a connection: claim it, delete its topic rows, run the close hook, delete its row."""
        claim = await self._store.claim_close(id, time_left(), disconnected=disconnected)
        row = claim.row
        if claim.outcome != "claimed" or row is None:
            return
        await self._store.delete_topics(row)
        if row.opened:
            row = await self._wait_for_last_open(row, time_left)
            await self._close(row, details)
        await self._store.delete_connection(row)

    async def _close(self, row: ConnectionRow, details: CloseDetails) -> None:
        try:
            handler = self._handler(row)
        except LookupError as error:
            # A later deployment has no such route. The row is deleted all the same.
            logger.warning("%s", error)
            return
        peer = self._hub.make_peer(row)
        await run_hook(lambda: handler.call_close(peer, details), handler, peer, row.route)

    async def _wait_for_last_open(self, row: ConnectionRow, time_left: TimeLeft) -> ConnectionRow:
        """Wait for an open hook that still runs, because the close hook comes last."""
        while row.open_state == "running" and time.time() < row.open_lease and time_left() > 1:
            await asyncio.sleep(OPEN_PAUSE_MAX)
            row = await self._store.get_connection(row.id) or row
        return row

    async def _work(self, work: dict[str, Any], time_left: TimeLeft) -> None:
        match work["kind"]:
            case "open":
                claim = await self._store.claim_open(work["id"], time_left())
                if claim.outcome == "claimed" and claim.row is not None:
                    await self._open(claim.row)
            case "close":
                await self._end(work["id"], CloseDetails(1006), time_left)
            case "left":
                details = CloseDetails(work["code"], work["reason"])
                await self._end(work["id"], details, time_left, disconnected=True)
            case "publish":
                check_topic(work["topic"])
                check_namespace(work["namespace"])
                frame = encode_frame(work["data"])
                await self._hub.publish(work["topic"], frame, namespace=work["namespace"])
            case "job":
                from nitro_presets.aws_lambda.fanout.run_job import run_job

                await run_job(self._services, work, time_left)
            case "sweep":
                from nitro_presets.aws_lambda.fanout.publish import resume_jobs

                await resume_jobs(self._services, time_left)
                await self._sweep(time_left)
                if self._services.settings.sweep_calls:
                    from nitro_presets.aws_lambda.websocket.ghosts import end_ghosts

                    await end_ghosts(
                        self._services,
                        lambda id: self._end(id, CloseDetails(1006), time_left),
                        self._serves,
                        time_left,
                    )

    async def _sweep(self, time_left: TimeLeft) -> None:
        start: str | None = None
        while time_left() > 5:
            page = await self._store.expired(start=start, limit=SWEEP_PAGE)
            ends = (self._end(id, CloseDetails(1006), time_left) for id in page.items)
            results = await asyncio.gather(*ends, return_exceptions=True)
            for id, result in zip(page.items, results, strict=True):
                if isinstance(result, Exception):
                    # The others go on; the next sweep finds this one again.
                    logger.error("Could not end peer %s.", id, exc_info=result)
            if page.next is None:
                return
            start = page.next

    async def _find_handler(self, row: ConnectionRow) -> WebSocketHandler | None:
        """Return the hooks of a peer; close a peer whose route a later deployment does not have."""
        try:
            return self._handler(row)
        except LookupError as error:
            logger.warning("%s The peer is closed.", error)
            await self._services.poster.delete(row.id)
            return None

    def _serves(self, row: ConnectionRow) -> bool:
        return any(route.path == row.route and route.kind == "websocket" for route in self._app.manifest.routes)

    def _handler(self, row: ConnectionRow) -> WebSocketHandler:
        for route in self._app.manifest.routes:
            if route.path == row.route and route.kind == "websocket":
                handler = self._app.socket_handler_of(route)
                assert isinstance(handler, WebSocketHandler)
                return handler
        raise LookupError(f"The route `{row.route}` of peer `{row.id}` is no longer served.")


def is_ours(event: object) -> bool:
    """Return whether an event comes from API Gateway, the app's queue or the function itself."""
    if not isinstance(event, dict):
        return False
    records = event.get("Records")
    if records is not None:
        return isinstance(records, list) and all(
            isinstance(record, dict) and record.get("eventSource") == "aws:sqs" for record in records
        )
    work = event.get("nitro")
    if work is not None:
        return isinstance(work, dict) and "kind" in work
    context = event.get("requestContext")
    if not isinstance(context, dict) or "type" in event:  # An authorizer's event has the type `REQUEST`.
        return False
    return "connectionId" in context and context.get("eventType") in EVENT_TYPES


def read_record(record: dict[str, Any]) -> Any:
    """Return the event in a record of the queue; text that is no JSON as it is."""
    try:
        return json.loads(record["body"])
    except ValueError:
        return record["body"]


def read_number(record: dict[str, Any]) -> int | None:
    """Return the number of a record in its FIFO queue."""
    number = record.get("attributes", {}).get("SequenceNumber")
    return int(number) if number is not None else None
