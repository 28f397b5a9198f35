"""What a bundle for another machine is built for: Linux, with some Python on some processor."""

from __future__ import annotations

import sys


def build_python() -> str:
    """Name the Python that builds, such as `3.13`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def linux_markers(python_version: str, machine: str) -> dict[str, str]:
    """Say in the words of requirements' markers (PEP 508) what a target is.

    Args:
        python_version: Its Python, such as `3.13`; of which the first release is meant, as it needs most.
        machine: Its processor in Python's words, such as `aarch64`.

    Example:
        >>> linux_markers("3.13", "aarch64")["python_full_version"]
        '3.13.0'
    """
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python_version}.0",
        "python_version": python_version,
        "sys_platform": "linux",
    }
