"""The Python and processor of the functions, and the wheels that fit them."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Literal

from nitro_presets.aws_lambda.settings import AwsSettings
from nitro_py.errors import BuildError
from nitro_py.preset import OtherTarget, build_python, linux_markers

Architecture = Literal["arm64", "x86_64"]

_ARCHITECTURES: dict[str, Architecture] = {
    "aarch64": "arm64",
    "amd64": "x86_64",
    "arm64": "arm64",
    "x86_64": "x86_64",
}
_UV_ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}
# Lambda's Python 3.11 is the last one on Amazon Linux 2, whose C library is older; the others are on 2023.
_OLD_LINUX = frozenset({"3.11"})
_OLD_GLIBC = (2, 26)
_PYTHONS = ("3.12", "3.13", "3.14")


@dataclass(frozen=True, slots=True)
class LambdaTarget:
    """The platform of the functions.

    Args:
        python_version: The Python version, such as `3.13`.
        architecture: The processor, by Lambda's name.
    """

    python_version: str
    architecture: Architecture

    @property
    def platform(self) -> str:
        """The target's name for `uv pip --python-platform`."""
        linux = "manylinux2014" if self.python_version in _OLD_LINUX else "manylinux_2_34"
        return f"{_UV_ARCHITECTURES[self.architecture]}-{linux}"

    @property
    def glibc(self) -> tuple[int, int] | None:
        """The C library, where `platform` names an older one."""
        return _OLD_GLIBC if self.python_version in _OLD_LINUX else None

    @property
    def markers(self) -> dict[str, str]:
        """The target's environment markers (PEP 508)."""
        return linux_markers(self.python_version, _UV_ARCHITECTURES[self.architecture])

    @property
    def takes_bytecode(self) -> bool:
        """Whether the target's Python can use byte code of this one."""
        return self.python_version == build_python()


def list_others(target: LambdaTarget) -> tuple[OtherTarget, ...]:
    """List what else the functions could run on, for packages that have no wheel for the target."""
    others = [LambdaTarget(python, target.architecture) for python in _PYTHONS if python != target.python_version]
    return tuple(
        OtherTarget(
            other.python_version,
            other.platform,
            f'There is a wheel for Python {other.python_version}: set `aws.python = "{other.python_version}"`.',
        )
        for other in others
    )


def find_target(settings: AwsSettings) -> LambdaTarget:
    """Return the target of the settings, or else of this machine.

    Raises:
        BuildError: Lambda has no processor of this machine's kind, and the settings name none.
    """
    architecture = settings.architecture or _ARCHITECTURES.get(platform.machine().lower())
    if architecture is None:
        raise BuildError(
            f"Lambda has no processor of this machine's kind, `{platform.machine()}`.",
            hint='Set `aws.architecture` to "arm64" or "x86_64".',
        )
    return LambdaTarget(settings.python or build_python(), architecture)
