"""Calls a Lambda function as the managed runtime does: `python lambda_runner.py FOLDER MODULE EVENT [MODE]`.

Without a mode it calls once, and tells the CPU time of the process so far: its end is not measured, which a
function does not see. With `first` it tells what the call takes once the init phase is over. With `serve` it calls
as often as each line on its standard input says.
"""

from __future__ import annotations

import importlib
import json
import sys
import time


class Context:
    """The context, as awslambdaric passes it."""

    aws_request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
    function_name = "benchmark"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:benchmark"
    memory_limit_in_mb = "512"
    log_group_name = log_stream_name = "benchmark"
    client_context = identity = None

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


folder, module, payload, *mode = sys.argv[1:]
sys.path.insert(0, folder)
handler = importlib.import_module(module).handler
event = json.loads(payload)
context = Context()
started = 0.0
if mode == ["first"]:
    if hasattr(handler, "start"):
        # As our own runtime client does.
        run = importlib.import_module("nitro_presets.aws_lambda.lambda_runtime.runner").run
        run(handler.start())
    started = time.process_time()
answer = handler(event, context)
if answer["statusCode"] != 200:
    raise SystemExit(f"{module} answered {answer}")
if mode != ["serve"]:
    print(json.dumps({"cpu": time.process_time() - started}))
else:
    print("{}", flush=True)
    for line in sys.stdin:
        count = json.loads(line)["count"]
        before = time.process_time()
        for _ in range(count):
            handler(event, context)
        print(json.dumps({"cpu": time.process_time() - before}), flush=True)
