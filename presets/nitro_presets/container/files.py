"""What stands beside `server/`: the files that build an image, and those that run it on many machines."""

from __future__ import annotations

import math
import re

from nitro_presets.container.entry import DEFAULT_PORT
from nitro_presets.container.settings import ContainerSettings
from nitro_py.preset import MEMORY, NitroConfig, build_python, fill_part, find_client, read_part
from nitro_py.runtime.asgi.internal_routes import LIVE_PATH, READY_PATH

PACKAGE = "nitro_presets.container"
PROBE = "nitro_presets/container/health.py"
# Path in the bundle → template in `infra/container/`.
TEMPLATES = {
    ".dockerignore": "dockerignore",
    "Dockerfile": "Dockerfile",
    "compose.yaml": "compose.yaml",
    "k8s/deployment.yaml": "k8s/deployment.yaml",
    "k8s/service.yaml": "k8s/service.yaml",
    "nginx.conf": "nginx.conf",
}
# How much longer than the app's own grace period platforms wait before they end it by force, in seconds.
MARGIN = 5
# How long Kubernetes may go on sending clients to what it has given up, in seconds.
TRAFFIC_DRAIN_SECONDS = 5
# What joins the replicas where the settings name nothing.
BACKPLANE = "redis"
# The ports of the brokers that the templates can run, by backplane; any other runs elsewhere.
TEMPLATE_BROKERS = {"nats": 4222, "redis": 6379}
# A user that no system has a name for: the number that distroless images use as well.
UNPRIVILEGED_UID = 65532


def render_files(config: NitroConfig, *, vendored: bool) -> dict[str, bytes]:
    """Render what stands beside `server/`: path in the bundle → bytes."""
    backplane = find_backplane_name(config)
    image = config.table(ContainerSettings).image
    stop = math.ceil(config.server.grace) + MARGIN
    values = {
        "backplane": backplane,
        "broker": f"{backplane}://broker:{TEMPLATE_BROKERS.get(backplane, '')}",
        "image": image,
        "live": LIVE_PATH,
        "name": name_app(image),
        "pause": str(TRAFFIC_DRAIN_SECONDS),
        "port": str(DEFAULT_PORT),
        "probe": PROBE,
        "python": build_python(),
        "ready": READY_PATH,
        "stop": str(stop),
        "termination": str(TRAFFIC_DRAIN_SECONDS + stop),
        "user": str(UNPRIVILEGED_UID),
    }
    holds = {backplane if backplane in TEMPLATE_BROKERS else "another"} | ({"vendored"} if vendored else set())
    return {
        path: fill_part(read_part(PACKAGE, "container", template), holds, values, {}).encode()
        for path, template in TEMPLATES.items()
    }


def find_backplane_name(config: NitroConfig) -> str:
    """Return the backplane that joins the replicas."""
    return BACKPLANE if config.backplane == MEMORY else config.backplane


def list_imports(config: NitroConfig) -> frozenset[str]:
    """List what the image needs to be one of many."""
    client = find_client(find_backplane_name(config))
    return frozenset({client} if client else ())


def name_app(image: str) -> str:
    """Name the app after its image.

    Example:
        >>> name_app("registry.example:5000/team/chat_room:1.2")
        'chat-room'
    """
    return re.sub(r"[._-]+", "-", image.rpartition("/")[2].partition("@")[0].partition(":")[0])
