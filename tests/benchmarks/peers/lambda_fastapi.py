"""JSON routes on FastAPI, brought to Lambda by Mangum."""

from __future__ import annotations

import os

from fastapi import FastAPI
from mangum import Mangum

app = FastAPI()


async def hello() -> dict[str, str]:
    return {"message": "hello"}


for number in range(int(os.environ["ROUTES"])):
    app.get(f"/route{number}")(hello)
handler = Mangum(app, lifespan="off")
