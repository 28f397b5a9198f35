"""The settings of the bundle's own server, as pydantic models."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nitro_py.build.setting_types import Count, Seconds, SettingsTable


class HttpSettings(SettingsTable):
    """Limits what HTTP clients may send."""

    max_body: Count = Field(default=10 * 1024 * 1024, description="Largest request body, in bytes.")
    max_header: Count = Field(
        default=64 * 1024, description="Largest header of a request, its first line included, in bytes."
    )
    header_timeout: Seconds = Field(
        default=30.0, description="Seconds for the header of a request to come; 0 = any number."
    )
    body_timeout: Seconds = Field(
        default=60.0, description="Seconds without progress while a body is received or sent; 0 = any number."
    )
    keep_alive: Count = Field(
        default=75,
        description="Seconds that a connection is kept between two requests; more than a load balancer keeps it "
        "(AWS 60), or it would send requests into closed connections.",
    )


class ServerSettings(SettingsTable):
    """Sets how the bundle's own server stops, and how many it serves."""

    grace: Annotated[float, Field(gt=0)] = Field(
        default=8.0,
        description="Most seconds from SIGTERM to the end; less than what the platform waits before it kills "
        "(docker 10, Kubernetes 30).",
    )
    drain_delay: Seconds = Field(
        default=0.0,
        description="Seconds of the grace period in which the server still accepts, for load balancers to notice.",
    )
    max_connections: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="Most open connections of a process; 0 = as many as it may open files.",
    )
