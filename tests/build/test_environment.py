"""What a user reads who has set a variable or a flag wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.config.errors import ConfigErrors
from nitro_py.build.config.load import load_config
from tests.build.config_files import fail_to_load


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        (
            "NITRO_DEV__PORT",
            "abc",
            '`dev.port` from `NITRO_DEV__PORT`: expected an integer from 0 to 65535, got `"abc"`.',
            "Set `NITRO_DEV__PORT=3000`, for example.",
        ),
        (
            "NITRO_DEV__PORT",
            "70000",
            "`dev.port` from `NITRO_DEV__PORT`: expected an integer from 0 to 65535, got `70000`.",
            "Set `NITRO_DEV__PORT=3000`, for example.",
        ),
        (
            "NITRO_DEV__HOST",
            "",
            '`dev.host` from `NITRO_DEV__HOST`: expected a non-empty string, got `""`.',
            "Set `NITRO_DEV__HOST=127.0.0.1`, for example.",
        ),
        (
            "NITRO_SSE__HEARTBEAT",
            "x",
            '`sse.heartbeat` from `NITRO_SSE__HEARTBEAT`: expected a number of at least 0, got `"x"`.',
            "Set `NITRO_SSE__HEARTBEAT=15.0`, for example.",
        ),
        (
            "NITRO_FEATURES__WEBSOCKET",
            "yes",
            '`features.websocket` from `NITRO_FEATURES__WEBSOCKET`: expected `true` or `false`, got `"yes"`.',
            "Set `NITRO_FEATURES__WEBSOCKET=true`, for example.",
        ),
        (
            "NITRO_INCLUDE",
            "[1",
            '`include` from `NITRO_INCLUDE`: expected a list of strings, got `"[1"`.',
            "Set `NITRO_INCLUDE=templates/**`, for example.",
        ),
        (
            "NITRO_INCLUDE",
            "[" * 9000,
            f'`include` from `NITRO_INCLUDE`: expected a list of strings, got `"{"[" * 78}…`.',
            "Set `NITRO_INCLUDE=templates/**`, for example.",
        ),
        (
            "NITRO_INCLUDE",
            "[1]",
            "`include[0]` from `NITRO_INCLUDE`: expected a string, got `1`.",
            "Set `NITRO_INCLUDE=templates/**`, for example.",
        ),
    ],
)
def test_wrong_variable(tmp_path: Path, name: str, text: str, message: str, hint: str) -> None:
    error = fail_to_load(tmp_path, environ={name: text})
    assert (error.message, error.file, error.line, error.hint) == (message, None, None, hint)


def test_unknown_variable_in_a_known_table(tmp_path: Path) -> None:
    error = fail_to_load(tmp_path, environ={"NITRO_DEV__PROT": "1"})
    assert error.message == (
        "Unknown key `NITRO_DEV__PROT` in the environment: expected one of `NITRO_DEV__HMR__PATH`, "
        "`NITRO_DEV__HMR__PORT`, `NITRO_DEV__HOST`, `NITRO_DEV__PORT`, got `NITRO_DEV__PROT`."
    )
    assert error.hint == "Did you mean `NITRO_DEV__PORT`?"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("NITRO_PRESETS", "Did you mean `NITRO_PRESET`?"),
        ("NITRO_WEBSOKET__MAX_QUEUE", "Did you mean `NITRO_WEBSOCKET__MAX_QUEUE`?"),
        ("NITRO_BACKPLAN", "Did you mean `NITRO_BACKPLANE`?"),
        ("NITRO_RUNTIME_CONFIG", "Did you mean `NITRO_RUNTIME_CONFIG__NAME`?"),
    ],
)
def test_unknown_variable(tmp_path: Path, name: str, hint: str) -> None:
    error = fail_to_load(tmp_path, environ={name: "x"})
    assert error.message.startswith(f"Unknown key `{name}` in the environment: expected one of `NITRO_AWS__")
    assert error.message.endswith(f"`NITRO_WEBSOCKET__MAX_QUEUE`, got `{name}`.")
    assert error.hint == hint


def test_variables_of_others_are_ignored_with_one_warning(tmp_path: Path) -> None:
    # As Kubernetes sets them for a service that is named `nitro`.
    environ = {
        "NITRO_SERVICE_HOST": "10.0.0.1",
        "NITRO_PORT_80_TCP": "tcp://10.0.0.1:80",
        "NITRO_DEV__PORT": "4000",
    }
    loaded = load_config(tmp_path, mode="production", overrides={}, environ=environ)
    assert loaded.config.dev.port == 4000
    assert loaded.warnings == (
        "No setting has the name of `NITRO_PORT_80_TCP`, `NITRO_SERVICE_HOST` in the environment: ignored.",
    )


def test_wrong_flag(tmp_path: Path) -> None:
    error = fail_to_load(tmp_path, "dev.port = 1", overrides={"dev.port": 99999})
    assert str(error) == (
        "`dev.port` from the command line: expected an integer from 0 to 65535, got `99999`.\n"
        "  hint: Give it a value such as `3000`."
    )
    error = fail_to_load(tmp_path, overrides={"dev.prot": 1})
    assert str(error) == (
        "Unknown key `dev.prot` on the command line: expected one of `hmr`, `host`, `port`, got `prot`.\n"
        "  hint: Did you mean `dev.port`?"
    )


def test_every_source_is_reported(tmp_path: Path) -> None:
    error = fail_to_load(
        tmp_path,
        "preset = 1",
        environ={"NITRO_DEV__FOO": "1", "NITRO_DEV__PORT": "x"},
        overrides={"dev.port": "y"},
    )
    assert isinstance(error, ConfigErrors)
    assert [problem.message.split(":")[0] for problem in error.problems] == [
        "`preset`",
        "Unknown key `NITRO_DEV__FOO` in the environment",
        "`dev.port` from `NITRO_DEV__PORT`",
        "`dev.port` from the command line",
    ]
