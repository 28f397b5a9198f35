"""Run a bundle behind the local gateway: `python -m nitro_presets.aws_lambda.gateway OUTPUT`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

from nitro_presets.aws_lambda.gateway.bundle import read_bundle
from nitro_presets.aws_lambda.gateway.fault_injection import FAULT_NAMES, Faults
from nitro_presets.aws_lambda.gateway.local_dynamodb import require_packages
from nitro_presets.aws_lambda.gateway.quotas import CONCURRENCY
from nitro_presets.aws_lambda.websocket.events import PATH_PARAMETER
from nitro_py.errors import NitroError
from nitro_py.runtime.asgi.internal_routes import ENV_FILE_NAMES, PUBLISH_TOKEN
from nitro_py.server.launch import read_int
from nitro_py.server.ports import bind_port

# As in the stack, in seconds.
SWEEP_INTERVAL = 300.0
# The prefix of the variables that functions get from our own environment, with those of `.env` files and those
# that CloudFormation would compute. They get no others, as on Lambda.
PASSED = "NITRO_RUNTIME_CONFIG__"


def main() -> None:
    """Run until a signal comes; an error is printed without a traceback, and ends with status 2."""
    options = read_options(sys.argv[1:])
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.WARNING)
    logging.getLogger("nitro_py.aws.gateway").setLevel(logging.INFO)
    try:
        asyncio.run(run(options))
    except NitroError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def read_options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m nitro_presets.aws_lambda.gateway", description=__doc__)
    parser.add_argument("output", type=Path, help="Output folder of the build.")
    parser.add_argument("--host", default="127.0.0.1", help="Address to listen on.")
    parser.add_argument("--port", type=int, default=3000, help="Port; 0 takes a free one.")
    parser.add_argument(
        "--concurrency",
        type=read_int,
        default=CONCURRENCY,
        help="Processes of each function; further invocations wait.",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"A fault to inject; may be repeated. One of {', '.join(FAULT_NAMES)}.",
    )
    return parser.parse_args(arguments)


async def run(options: argparse.Namespace) -> None:
    """Run the gateway until a signal comes."""
    require_packages()
    # It imports the packages of the extra.
    from nitro_presets.aws_lambda.gateway.gateway import Gateway

    faults = Faults.parse(options.fault)
    listener = bind_port(options.host, options.port)
    bundle = read_bundle(options.output)
    passed = {*os.environ.get(ENV_FILE_NAMES, "").split(), *bundle.computed, *bundle.secrets}
    environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED) or name in passed}
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    gateway = Gateway(
        options.output,
        listener=listener,
        concurrency=options.concurrency,
        faults=faults,
        environment=environment,
        publish_token=os.environ.get(PUBLISH_TOKEN),
        local_host=options.host,
        log_access=True,
    )
    async with gateway:
        print(f"Listening on {gateway.url}", flush=True)
        if gateway.socket_url is not None:
            print(f"Sockets connect to {gateway.socket_url}?{PATH_PARAMETER}=PATH", flush=True)
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), SWEEP_INTERVAL)
            if not stopping.is_set():
                await gateway.sweep()
        for line in gateway.describe_work():
            print(line, flush=True)


if __name__ == "__main__":
    main()
