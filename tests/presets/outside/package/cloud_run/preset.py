"""Emits a server and the description of a service; tests count the imports of this module."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nitro_py.preset import (
    BuildInput,
    Bundle,
    Command,
    Deployment,
    Option,
    ServerPreset,
    emit_server,
)

from .settings import CloudRunSettings

if log := os.environ.get("CLOUD_RUN_IMPORTS"):
    with Path(log).open("a") as file:
        file.write("imported\n")

SERVICE = Option("--service", str, "app", "Name of the service.")
TRAFFIC = Option("--traffic", int, 100, "Percent of the requests that the new version gets.", "PERCENT")
REGION = Option[str | None]("--region", str, None, "Region to deploy to.")


@dataclass(frozen=True, slots=True)
class CloudRunPreset(ServerPreset):
    """A preset for a service that runs containers."""

    name: str = "cloud-run"
    summary: str = "a service of a platform that these tests make up"
    settings: type[CloudRunSettings] = CloudRunSettings
    settings_table: str = "cloud_run"

    @property
    def options(self) -> Mapping[Command, tuple[Option[str] | Option[int] | Option[str | None], ...]]:
        """The options of `nitropy deploy`."""
        return {"deploy": (SERVICE, TRAFFIC, REGION)}

    def emit(self, build: BuildInput) -> Bundle:
        """Compute the bundle."""
        settings = build.config.table(CloudRunSettings)
        bundle = emit_server(build, "cloud_run")
        service = json.dumps({"region": settings.region, "maxInstances": settings.instances})
        return replace(
            bundle,
            files={**bundle.files, "service.json": service.encode()},
            deploy=("nitropy", "deploy", "--preset", self.name),
        )

    def deploy(self, deployment: Deployment) -> Mapping[str, str]:
        """Return what would be deployed."""
        settings = deployment.config.table(CloudRunSettings)
        return {
            "region": deployment.options.get(REGION) or settings.region,
            "service": deployment.options.get(SERVICE),
            "traffic": str(deployment.options.get(TRAFFIC) + 0),
        }


preset = CloudRunPreset()
