"""Answering a scrape."""

from __future__ import annotations

import hmac
import os
from importlib.util import find_spec

from nitro_py.errors import ConfigError, HTTPError
from nitro_py.event import Event
from nitro_py.response import Response
from nitro_py.runtime.app import App
from nitro_py.runtime.metrics.figures import Figures, take_figures
from nitro_py.runtime.metrics.meter import Meter

METRICS_TOKEN = "NITRO_METRICS_TOKEN"


def turn_on_metrics(app: App) -> None:
    """Lets an app be measured, if its settings say so.

    Raises:
        ConfigError: `prometheus-client` is not installed, without which nobody could read the figures.
    """
    if not app.settings.metrics:
        return
    if find_spec("prometheus_client") is None:
        raise ConfigError(
            "`metrics` is on, and the package `prometheus-client` is not installed.",
            hint="Build with `metrics = true`, which adds it to the requirements, or unset `NITRO_METRICS`.",
        )
    app.measure()


def answer_scrape(app: App, event: Event) -> Response | None:
    """Gives the app's figures, those of its other workers included; `None` if it is not measured.

    With `NITRO_METRICS_TOKEN` set, only whoever has that token is answered.

    Raises:
        HTTPError: 401, the token is missing or wrong; 405, the method is another than `GET` or `HEAD`.
    """
    if app.meter is None:
        return None
    if event.method not in ("GET", "HEAD"):
        raise HTTPError(405, headers={"allow": "GET, HEAD"})
    token = os.environ.get(METRICS_TOKEN)
    if token:
        given = event.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), token.encode()):
            raise HTTPError(401, "The figures need a token.", headers={"www-authenticate": "Bearer"})
    from nitro_py.runtime.metrics.exposition import write_metrics

    text, kind = write_metrics(take_all(app, app.meter), event.headers.get("accept", ""))
    return Response(text, headers={"content-type": kind, "cache-control": "no-store"})


def take_all(app: App, meter: Meter) -> dict[int, Figures]:
    """Takes the figures of this process as they are now, and those of the other workers as they were last left."""
    figures = take_figures(app, meter)
    if meter.board is None:
        return {0: figures}
    # Another worker answers the next scrape, and no total may be smaller there.
    meter.board.write(figures)
    return {meter.board.place: figures, **meter.board.read_others()}
