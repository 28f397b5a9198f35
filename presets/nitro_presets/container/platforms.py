"""The platforms that an image may have, in the words of images, of Python and of wheels."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Literal, get_args

from nitro_py.errors import BuildError
from nitro_py.preset import build_python, linux_markers

Architecture = Literal["amd64", "arm64"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
_MACHINES: dict[Architecture, str] = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class ImagePlatform:
    """What dependencies depend on.

    Args:
        architecture: The processor, in the words of images.
        python: Python's version, such as `3.13`.
        musl: Whether the C library is musl, as in Alpine, and not glibc.
    """

    architecture: Architecture
    python: str
    musl: bool = False

    @property
    def wheels(self) -> str:
        """The platform in uv's words."""
        machine = _MACHINES[self.architecture]
        return f"{machine}-unknown-linux-musl" if self.musl else f"{machine}-manylinux_2_28"

    @property
    def markers(self) -> dict[str, str]:
        """The platform in the words of requirements' markers (PEP 508)."""
        return linux_markers(self.python, _MACHINES[self.architecture])


def find_build_platform() -> ImagePlatform:
    """Return the platform of an image that this machine runs, with the Python that builds.

    Raises:
        BuildError: Its processor is none that dependencies can be installed for.
    """
    machine = platform.machine().lower()
    names = {name: key for key, name in _MACHINES.items()} | {key: key for key in ARCHITECTURES}
    if machine not in names:
        listed = ", ".join(f"`{name}`" for name in sorted(names))
        raise BuildError(f"This machine's processor is `{machine}`: expected one of {listed}.")
    return ImagePlatform(names[machine], build_python())
