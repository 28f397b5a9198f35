"""Connections whose end was never told: the sweep asks API Gateway for each, some at a time."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable

from nitro_presets.aws_lambda.aws_client.errors import ServiceError
from nitro_presets.aws_lambda.lambda_runtime.context import TimeLeft
from nitro_presets.aws_lambda.store.contract import ConnectionRow, Round
from nitro_presets.aws_lambda.websocket.services import AwsServices

logger = logging.getLogger("nitro_py.aws")

# How long after connecting a connection is left alone, in seconds.
QUIET = 60.0
# The seconds that are left for others.
RESERVE = 5.0
NAMESPACE = "nitropy"


async def end_ghosts(
    services: AwsServices,
    end: Callable[[str], Awaitable[None]],
    serves: Callable[[ConnectionRow], bool],
    time_left: TimeLeft,
) -> None:
    """Ask for connections, from where the last sweep has stopped, and end those that are gone.

    A round of all connections takes one sweep up to `aws.sweep_calls` of them, and more beyond that. The metric
    `RoundSeconds` tells how long it took.

    Args:
        services: The services.
        end: Ends a connection that is gone.
        serves: Returns whether a connection's route is still served; a connection of another one is closed.
        time_left: Returns the seconds that this invocation has left.
    """
    now = time.time()
    reached = await services.store.read_round()
    start, began = reached.start, reached.began or now
    left = services.settings.sweep_calls
    gone = 0

    async def ask(row: ConnectionRow) -> bool:
        if not serves(row):
            await services.poster.delete(row.id)
            return False
        if await services.poster.get(row.id) is not None:
            return False
        await end(row.id)
        return True

    while left > 0 and time_left() > RESERVE:
        page = await services.store.connections(start=start)
        old = [row for row in page.items if now - row.connected_at > QUIET]
        results = await asyncio.gather(*map(ask, old), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        gone += sum(result is True for result in results)
        left -= len(old)
        if failures:
            # Asked for again in the next round.
            logger.warning("Could not ask for %d connections: %s", len(failures), failures[0])
            if all(isinstance(failure, ServiceError) for failure in failures):
                break
        start = page.next
        if start is None:
            write_metrics(services.function, {"RoundSeconds": time.time() - began, "Ghosts": float(gone)})
            began = 0.0
            break
    await services.store.save_round(Round(start, began))


def write_metrics(function: str, values: dict[str, float]) -> None:
    """Write metrics as a line of the log that CloudWatch reads (its embedded metric format).

    Args:
        function: The function's name, the metrics' dimension.
        values: The values by name.
    """
    metrics = [{"Name": name} for name in values]
    described = {"Namespace": NAMESPACE, "Dimensions": [["Function"]], "Metrics": metrics}
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [described]}
    sys.stdout.write(json.dumps({"_aws": about, "Function": function, **values}) + "\n")
    sys.stdout.flush()
