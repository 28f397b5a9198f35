"""The app's own endpoints below `/_nitro/`: probes, metrics, and publishing from the command line."""

from __future__ import annotations

import hmac
import os
from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from nitro_py.encoding import encode_frame
from nitro_py.errors import BackplaneError, ConfigError, HTTPError, suggest_extra
from nitro_py.event import Event
from nitro_py.response import Response
from nitro_py.runtime.app import App
from nitro_py.runtime.settings import MEMORY
from nitro_py.runtime.topics.names import check_namespace, check_topic

if TYPE_CHECKING:
    from nitro_py.runtime.metrics.meter import Meter
    from nitro_py.runtime.metrics.snapshot import Snapshot

# Where the endpoints of the app itself are, which answer whatever the project serves.
INTERNAL_PREFIX = "/_nitro/"
LIVE_PATH = "/_nitro/live"
READY_PATH = "/_nitro/ready"
HEALTH_PATH = "/_nitro/health"
PROBES = frozenset({LIVE_PATH, READY_PATH, HEALTH_PATH})
METRICS_PATH = "/_nitro/metrics"
METRICS_TOKEN = "NITRO_METRICS_TOKEN"
PUBLISH_PATH = "/_nitro/publish"
# Names the variables of `.env` files: set by `nitropy preview`, for programs that pass only some on.
ENV_FILE_NAMES = "NITRO_ENV_FILE_NAMES"
PUBLISH_TOKEN = "NITRO_PUBLISH_TOKEN"


async def answer_internal(app: App, event: Event, path: str) -> Response | None:
    """Answer a request to one of the app's own paths; `None` for every other path."""
    if path in PROBES:
        return _probe(app, path)
    if path == METRICS_PATH:
        return answer_metrics(app, event)
    token = os.environ.get(PUBLISH_TOKEN)
    if path == PUBLISH_PATH and token:
        return await _publish(app, event, token)
    return None


def answers_any_host(app: App, path: str) -> bool:
    """Return whether a path is answered whatever host a request names.

    Those who probe and measure a process name its address, and not the app's host. Where a token is needed, it
    protects more than a host would.
    """
    if path == METRICS_PATH:
        return app.meter is not None and bool(os.environ.get(METRICS_TOKEN))
    return path in PROBES or (path == PUBLISH_PATH and bool(os.environ.get(PUBLISH_TOKEN)))


def _probe(app: App, path: str) -> Response:
    """Answer a probe: a platform restarts an app that is not live, and routes no clients to one not ready."""
    status = 200
    if path == LIVE_PATH:
        state: dict[str, object] = {"status": "live"}
    elif app.stopping:
        status, state = 503, {"status": "stopping", "reason": "The server stops."}
    elif not app.started:
        status, state = 503, {"status": "starting", "reason": "The plugins have not started."}
    elif path == READY_PATH:
        # Without its backplane the app still serves, and the other processes have likely lost theirs, too.
        state = {"status": "ready"}
    else:
        state = {"status": "ok" if app.backplane.connected else "degraded"}
    if app.backplane.name != MEMORY and path != LIVE_PATH:
        state["backplane"] = {"name": app.backplane.name, "connected": app.backplane.connected}
    return Response(state, status, {"cache-control": "no-store"})


async def _publish(app: App, event: Event, token: str) -> Response:
    if event.method != "POST":
        raise HTTPError(405, headers={"allow": "POST"})
    given = event.headers.get("authorization", "").removeprefix("Bearer ")
    if not _is_loopback(event.remote_address) or not hmac.compare_digest(given.encode(), token.encode()):
        raise HTTPError(403, "Publishing needs the token of the running server, from this machine.")
    try:
        request: Any = await event.request.json()
        topic, data, namespace = request["topic"], request["data"], request.get("namespace")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HTTPError(400, 'Expected {"topic": …, "data": …, "namespace": …}.') from None
    try:
        check_topic(topic)
        check_namespace(namespace)
    except (TypeError, ValueError) as error:
        raise HTTPError(400, str(error)) from None
    try:
        await app.publish(topic, encode_frame(data), namespace=namespace)
    except BackplaneError as error:
        raise HTTPError(
            503, f"No peer of this process subscribes to the topic, and other processes are not reached. {error}"
        ) from error
    return Response(status=202)


def _is_loopback(address: str | None) -> bool:
    try:
        return address is not None and ip_address(address).is_loopback
    except ValueError:
        return False


def turn_on_metrics(app: App) -> None:
    """Measure an app if its settings turn metrics on.

    Raises:
        ConfigError: `prometheus-client` is not installed, which writes the metrics.
    """
    if not app.settings.metrics:
        return
    if find_spec("prometheus_client") is None:
        raise ConfigError(
            "`metrics` is on, and the package `prometheus-client` is not installed.",
            hint=f"Run {suggest_extra('metrics')}, and build with `metrics = true`, which adds it to the "
            "requirements; or unset `NITRO_METRICS`.",
        )
    app.measure()


def answer_metrics(app: App, event: Event) -> Response | None:
    """Answer with the metrics of the app and its other workers; `None` if it is not measured.

    If `NITRO_METRICS_TOKEN` is set, a request must have that token.

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
            raise HTTPError(401, "Metrics need a token.", headers={"www-authenticate": "Bearer"})
    from nitro_py.runtime.metrics.exposition import write_metrics

    text, kind = write_metrics(take_snapshots(app, app.meter), event.headers.get("accept", ""))
    return Response(text, headers={"content-type": kind, "cache-control": "no-store"})


def take_snapshots(app: App, meter: Meter) -> dict[int, Snapshot]:
    """Take a snapshot of this process, and read the last ones of the other workers, by the workers' numbers."""
    snapshot = app.take_snapshot(meter)
    if meter.workers is None:
        return {0: snapshot}
    # Another worker answers the next scrape, and no total may be smaller there.
    meter.workers.write(snapshot)
    return {meter.workers.place: snapshot, **meter.workers.read_others()}
