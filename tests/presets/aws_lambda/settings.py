"""The settings `aws.*`, as a build writes them into the manifest."""

from __future__ import annotations

from typing import Any

from nitro_presets.aws_lambda.settings import AwsSettings


def aws_settings(**changes: Any) -> dict[str, Any]:
    """Return the defaults with some settings changed."""
    return {**AwsSettings().model_dump(mode="json"), **changes}
