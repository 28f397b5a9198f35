"""JSON routes on Chalice, behind a REST API, which is what it is written for."""

from __future__ import annotations

import os

from chalice import Chalice

handler = Chalice(app_name="routes")


def hello() -> dict[str, str]:
    return {"message": "hello"}


for number in range(int(os.environ["ROUTES"])):
    handler.route(f"/route{number}", name=f"route{number}")(hello)
