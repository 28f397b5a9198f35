"""JSON routes on Powertools for AWS Lambda."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver

app = APIGatewayHttpResolver()


def hello() -> dict[str, str]:
    return {"message": "hello"}


for number in range(int(os.environ["ROUTES"])):
    app.get(f"/route{number}")(hello)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    answer: dict[str, Any] = app.resolve(event, context)
    return answer
