"""What a user reads who has written a setting wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.config.errors import ConfigErrors
from nitro_py.build.config.load import Mode, load_config
from nitro_py.errors import ConfigError
from tests.build.config_files import fail_to_load

TABLES = (
    "`aws`, `backplane`, `backplane_prefix`, `backplane_url`, `build`, `container`, `dev`, `development`, "
    "`experimental`, `features`, `handlers_dir`, `http`, `ignore`, `include`, `log`, `metrics`, `output_dir`, "
    "`preset`, `production`, `public_dir`, `runtime_config`, `server`, `sse`, `storage`, `websocket`"
)
WEBSOCKET = "`allowed_origins`, `buffer_limit`, `compression`, `idle_timeout`, `max_message`, `max_queue`"
TOML_HINT = "Text needs quotes, each key its own line, and a table a line such as `[dev]`."


def test_unknown_key_in_full(tmp_path: Path) -> None:
    assert str(fail_to_load(tmp_path, "# sizes\n[websocket]\n\nmax_qeue = 3\n")) == (
        f"Unknown key `websocket.max_qeue` in `nitro.toml`: expected one of {WEBSOCKET}, got `max_qeue`.\n"
        "  at nitro.toml:4\n"
        "  hint: Did you mean `websocket.max_queue`?"
    )


def test_wrong_type_in_full(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\n\n[tool.nitropy.dev]\nport = "abc"\n'
    assert str(fail_to_load(tmp_path, text, file="pyproject.toml")) == (
        '`dev.port`: expected an integer from 0 to 65535, got `"abc"`.\n'
        "  at pyproject.toml:5\n"
        "  hint: Write `port = 3000`, for example."
    )


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("websockets", "Did you mean `websocket`?"),
        ("port", "Did you mean `dev.port`?"),
        ("max_queu", "Did you mean `websocket.max_queue`?"),
        ("zzzz", "`nitropy config schema` describes every key."),
    ],
)
def test_unknown_key_at_the_top(tmp_path: Path, key: str, nearest: str) -> None:
    error = fail_to_load(tmp_path, f"{key} = 1")
    assert error.message == f"Unknown key `{key}` in `nitro.toml`: expected one of {TABLES}, got `{key}`."
    assert (error.file, error.line, error.hint) == ("nitro.toml", 1, nearest)


def test_long_value_is_shortened(tmp_path: Path) -> None:
    error = fail_to_load(tmp_path, f"dev.port = '{'x' * 200}'")
    assert error.message == f'`dev.port`: expected an integer from 0 to 65535, got `"{"x" * 78}…`.'


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("python", '"3.10"', r"a string that matches `^3\.(1[1-9]|[2-9][0-9])$`"),
        ("architecture", '"mips"', 'one of `"arm64"`, `"x86_64"`'),
        ("streaming", '"yes"', 'one of `"function-url"`, `"none"`'),
    ],
)
def test_choices_are_listed(tmp_path: Path, key: str, value: str, expected: str) -> None:
    error = fail_to_load(tmp_path, f"aws.{key} = {value}")
    assert error.message == f"`aws.{key}`: expected {expected}, got `{value}`."


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", '"8"'])
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("server.grace", "a number of more than 0"),
        ("aws.stream_seconds", "a number of more than 0 and at most 890"),
    ],
)
def test_number_whose_least_is_left_out(tmp_path: Path, key: str, value: str, expected: str) -> None:
    assert fail_to_load(tmp_path, f"{key} = {value}").message == f"`{key}`: expected {expected}, got `{value}`."


def test_too_deep(tmp_path: Path) -> None:
    error = fail_to_load(tmp_path, f"ignore = {'[' * 9000}{']' * 9000}")
    assert error.message == "`nitro.toml` cannot be read: its lists and tables are nested too deeply."
    assert error.file == "nitro.toml"


@pytest.mark.parametrize("key", ["handlers_dir", "output_dir", "public_dir"])
def test_folder_with_a_character_that_no_name_may_have(tmp_path: Path, key: str) -> None:
    error = fail_to_load(tmp_path, f'{key} = "a\\u0000b"')
    expected = "a folder inside the project, relative to its root and not the root itself"
    assert error.message == f'`{key}`: expected {expected}, got `"a\\u0000b"`.'
    assert error.line == 1


@pytest.mark.parametrize("key", ["ignore", "include"])
def test_glob_with_a_character_that_no_name_may_have(tmp_path: Path, key: str) -> None:
    error = fail_to_load(tmp_path, f'{key} = ["a\\u0000b"]')
    expected = "a relative glob with `/` between folders and without `..`"
    assert error.message == f'`{key}[0]`: expected {expected}, got `"a\\u0000b"`.'


@pytest.mark.parametrize("name", ["a" * 64, "/".join(["a" * 62, *["a" * 63] * 3, "a"])])
def test_name_of_an_image_that_is_too_long(tmp_path: Path, name: str) -> None:
    (tmp_path / "nitro.toml").write_text(f'container.image = "{name[1:]}:{"1" * 100}"')
    load_config(tmp_path, mode="production", overrides={}, environ={})
    error = fail_to_load(tmp_path, f'container.image = "{name}"')
    expected = "at most 255 characters before the tag, and 63 in the last part of the name"
    assert error.message.startswith(f"`container.image`: expected {expected}, got ")


def test_table_in_pyproject(tmp_path: Path) -> None:
    error = fail_to_load(tmp_path, "[tool.nitropy]\ndev = 1", file="pyproject.toml")
    assert error.hint == "Write its keys below a line `[tool.nitropy.dev]`."
    error = fail_to_load(tmp_path, "[tool]\nnitropy = 1", file="pyproject.toml")
    assert str(error) == (
        "`tool.nitropy`: expected a table, got `1`.\n  at pyproject.toml:2\n"
        "  hint: Write the settings below a line `[tool.nitropy]`."
    )


@pytest.mark.parametrize("mode", ["production", "development"])
def test_both_sections_are_checked_in_either_mode(tmp_path: Path, mode: Mode) -> None:
    text = "[production]\npreset = 1\n[development.websocket]\nmax_queues = 1\nproduction = {}"
    error = fail_to_load(tmp_path, text, mode=mode)
    assert isinstance(error, ConfigErrors)
    assert [(problem.line, problem.message, problem.hint) for problem in error.problems] == [
        (
            2,
            "`production.preset`: expected a non-empty string, got `1`.",
            'Write `preset = "asgi"`, for example.',
        ),
        (
            4,
            "Unknown key `development.websocket.max_queues` in `nitro.toml`: "
            f"expected one of {WEBSOCKET}, got `max_queues`.",
            "Did you mean `development.websocket.max_queue`?",
        ),
        (
            5,
            "Unknown key `development.websocket.production` in `nitro.toml`: "
            f"expected one of {WEBSOCKET}, got `production`.",
            "`nitropy config schema` describes every key.",
        ),
    ]
    assert (error.message, error.line) == (error.problems[0].message, 2)
    assert str(error) == "\n".join(str(problem) for problem in error.problems)


@pytest.mark.parametrize(
    ("text", "line", "reason", "got"),
    [
        ("a = 1\nport = \n", 2, "Invalid value at column 8", "port ="),
        ("a = 1\nb = [1,\n\n", 2, "Invalid value at the end", "b = [1,"),
        ("a = 1\na = 2\n", 2, "Cannot overwrite a value at column 6", "a = 2"),
        ("a 1", 1, "Expected '=' after a key in a key/value pair at column 3", "a 1"),
    ],
)
def test_broken_toml(tmp_path: Path, text: str, line: int, reason: str, got: str) -> None:
    error = fail_to_load(tmp_path, text)
    assert error.message == f"`nitro.toml` is not valid TOML: {reason}, got `{got}`."
    assert (error.file, error.line, error.hint) == ("nitro.toml", line, TOML_HINT)


def test_broken_encoding(tmp_path: Path) -> None:
    (tmp_path / "nitro.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, mode="production", overrides={}, environ={})
    assert str(caught.value) == (
        "`nitro.toml` is not valid TOML: expected UTF-8, got the byte `0xff`.\n"
        "  at nitro.toml:2\n  hint: Save the file as UTF-8."
    )


def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "nitro.toml").mkdir()
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, mode="production", overrides={}, environ={})
    assert str(caught.value) == (
        "`nitro.toml` cannot be read: Is a directory.\n"
        "  at nitro.toml\n  hint: Make `nitro.toml` a file that you may read."
    )
