"""The settings of the preset `cloud-run`: the table `cloud_run`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nitro_py.preset import Count, SettingsTable


class CloudRunSettings(SettingsTable):
    """Settings of the preset `cloud-run`."""

    region: Literal["europe-west1", "us-central1"] = Field(
        default="europe-west1", description="Region of the service."
    )
    instances: Count = Field(default=2, description="Most instances that run at once.")
