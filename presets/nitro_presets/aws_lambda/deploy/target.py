"""What the functions run on: their Python and processor, and the wheels that fit them."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Literal

from nitro_presets.aws_lambda.settings import AwsSettings
from nitro_py.errors import BuildError
from nitro_py.preset import build_python, linux_markers

Architecture = Literal["arm64", "x86_64"]

_ARCHITECTURES: dict[str, Architecture] = {
    "aarch64": "arm64",
    "amd64": "x86_64",
    "arm64": "arm64",
    "x86_64": "x86_64",
}
_UV_ARCHITECTURES = {"arm64": "aarch64", "x86_64": "x86_64"}
# Lambda's Python 3.11 is the last one on Amazon Linux 2, whose C library is older.
_OLD_LINUX = frozenset({"3.11"})


@dataclass(frozen=True, slots=True)
class LambdaTarget:
    """Says what the functions run on.

    Args:
        python_version: Such as `3.13`.
        architecture: As Lambda names it.
    """

    python_version: str
    architecture: Architecture

    @property
    def platform(self) -> str:
        """The target in uv's words."""
        linux = "manylinux2014" if self.python_version in _OLD_LINUX else "manylinux_2_28"
        return f"{_UV_ARCHITECTURES[self.architecture]}-{linux}"

    @property
    def markers(self) -> dict[str, str]:
        """The target in the words of requirements' markers (PEP 508)."""
        return linux_markers(self.python_version, _UV_ARCHITECTURES[self.architecture])

    @property
    def takes_bytecode(self) -> bool:
        """Whether byte code of this Python is that of the target's."""
        return self.python_version == build_python()


def find_target(settings: AwsSettings) -> LambdaTarget:
    """Find what to build for: what the settings say, else what this machine is.

    Raises:
        BuildError: This machine is nothing that Lambda has, and the settings don't say.
    """
    architecture = settings.architecture or _ARCHITECTURES.get(platform.machine().lower())
    if architecture is None:
        raise BuildError(
            f"Lambda has no processor of this machine's kind, `{platform.machine()}`.",
            hint='Set `aws.architecture` to "arm64" or "x86_64".',
        )
    return LambdaTarget(settings.python or build_python(), architecture)
