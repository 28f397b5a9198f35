"""The settings of the preset `container`: the table `container`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from nitro_py.preset import HOST_PATTERN, SettingsTable

_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(rf"({HOST_PATTERN}(:[0-9]{{1,5}})?/)?({_PART}/)*[a-z]({_PART})?(:\w[\w.-]{{0,127}})?")
# The longest label in Kubernetes, which the app's name becomes, and the longest name that registries take.
_MAX_APP = 63
_MAX_NAME = 255


# What a validator raises is the phrase that follows "expected" in the error.
def _check_image(value: str) -> str:
    if _IMAGE.fullmatch(value) is None:
        raise ValueError("`name`, `name:tag` or `registry/name:tag`, in small letters")
    name, slash, last = value.rpartition("/")
    app = last.partition(":")[0]
    if len(app) > _MAX_APP or len(f"{name}{slash}{app}") > _MAX_NAME:
        raise ValueError(
            f"at most {_MAX_NAME} characters before the tag, and {_MAX_APP} in the last part of the name"
        )
    return value


Image = Annotated[str, AfterValidator(_check_image)]


class ContainerSettings(SettingsTable):
    """Settings of the preset `container`."""

    image: Image = Field(
        default="nitro-app:latest",
        description="Name of the image; its last part is the app's name in compose and Kubernetes.",
        examples=["registry.example/team/chat:1.2"],
    )
