"""The types of settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from nitro_py.runtime.hooks.origin import NO_ORIGIN
from nitro_py.runtime.hosts import parse_allowed_host
from nitro_py.runtime.settings import LogLevel, check_storage_name

HOST_PATTERN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
_ORIGIN = re.compile(
    rf"(?!({'|'.join(sorted(NO_ORIGIN))}):)[a-z][a-z0-9+.-]*://((\*\.)?{HOST_PATTERN}|\[[0-9a-f:.]+\])(:[0-9]{{1,5}})?"
    rf"|\*\.{HOST_PATTERN}|\*"
)
MAX_PORT = 65535
# The one would be a separator on Windows, the other ends a name in every system.
_NOT_IN_PATHS = frozenset("\\\0")


# What a validator raises is the phrase that follows "expected" in the error.
def _check_folder(value: str) -> str:
    return _check_inside(value, "a folder inside the project, relative to its root and not the root itself")


def _check_file(value: str) -> str:
    return _check_inside(value, "a file inside the project, relative to its root")


def _check_inside(value: str, expected: str) -> str:
    path = PurePosixPath(value)
    outside = PureWindowsPath(value).anchor or set(value) & _NOT_IN_PATHS or ".." in path.parts
    if outside or path == PurePosixPath("."):
        raise ValueError(expected)
    return str(path)


def _check_glob(value: str) -> str:
    outside = PureWindowsPath(value).anchor or set(value) & _NOT_IN_PATHS or ".." in PurePosixPath(value).parts
    if not value or outside:
        raise ValueError("a relative glob with `/` between folders and without `..`")
    return value


def _check_origin(value: str) -> str:
    origin = value.lower()
    if _ORIGIN.fullmatch(origin) is None:
        raise ValueError("`scheme://host[:port]`, a host pattern such as `*.example.com`, or `*`")
    return origin


def _check_url_path(value: str) -> str:
    if re.fullmatch(r"/[^\s?#]*", value) is None:
        raise ValueError("a path that starts with `/`, without query or fragment")
    return value


def _check_logger(value: str) -> str:
    if value in ("", "root"):
        raise ValueError("the name of a logger (`log.level` is the level of the root)")
    return value


def _check_level(value: object) -> object:
    if isinstance(value, Mapping):
        raise ValueError('a level (a name with dots needs quotes, such as `"shop.prices"`)')
    return value


# TOML knows lists only, which strict validation refuses for a tuple.
Origins = Annotated[tuple[Annotated[str, AfterValidator(_check_origin)], ...], Field(strict=False)]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(parse_allowed_host)], ...], Field(strict=False)]
Globs = Annotated[tuple[Annotated[str, AfterValidator(_check_glob)], ...], Field(strict=False)]
File = Annotated[str, AfterValidator(_check_file)]
Folder = Annotated[str, AfterValidator(_check_folder)]
UrlPath = Annotated[str, AfterValidator(_check_url_path)]
Name = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=0, le=MAX_PORT)]
Count = Annotated[int, Field(ge=1)]
Names = Annotated[tuple[Name, ...], Field(strict=False)]
LoggerName = Annotated[str, AfterValidator(_check_logger)]
LoggerLevel = Annotated[LogLevel, BeforeValidator(_check_level), Field(examples=["info"])]
StorageName = Annotated[str, AfterValidator(check_storage_name)]
Seconds = Annotated[float, Field(ge=0)]


class SettingsTable(BaseModel):
    """A table of settings: values are not converted, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
