"""The settings `log.*`: a table, or its format alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.config.load import Mode, load_config
from nitro_py.build.config.schema import make_models
from nitro_py.build.config.settings import runtime_settings
from nitro_py.runtime.settings import LogSettings, Settings
from tests.build.config_files import fail_to_load

LEVELS = 'one of `"debug"`, `"error"`, `"info"`, `"warning"`'
LEVEL_HINT = 'Write `level = "info"`, for example.'


def ship(root: Path, text: str, environ: dict[str, str], mode: Mode = "production") -> LogSettings:
    """Return what a bundle of a project reads, without variables where it runs."""
    (root / "nitro.toml").write_text(text)
    config = load_config(root, mode=mode, overrides={}, environ=environ).config
    return Settings.from_json(runtime_settings(config, mode), {}).log


@pytest.mark.parametrize(
    ("text", "environ", "shipped"),
    [
        ("", {}, LogSettings()),
        ("log = 'json'", {}, LogSettings("json")),
        ("log.format = 'json'", {}, LogSettings("json")),
        ("[log]\nlevel = 'debug'", {}, LogSettings("text", "debug")),
        ("log.levels = { \"a.B\" = 'info' }", {}, LogSettings(levels={"a.B": "info"})),
        # A section of the mode and variables change what they name, in whatever form the rest stands.
        ("log = 'json'\n[production.log]\nlevel = 'error'", {}, LogSettings("json", "error")),
        ("log.level = 'error'\n[production]\nlog = 'json'", {}, LogSettings("json", "error")),
        ("log.level = 'error'", {"NITRO_LOG": "json"}, LogSettings("json", "error")),
        ("log = 'json'", {"NITRO_LOG__LEVEL": "debug"}, LogSettings("json", "debug")),
        ("log = 'json'", {"NITRO_LOG__FORMAT": "text"}, LogSettings("text")),
        ("log.level = 'error'", {"NITRO_LOG__LEVEL": ""}, LogSettings()),
        (
            "log.levels = { \"a.b\" = 'info', c = 'error' }",
            {"NITRO_LOG__LEVELS__A__B": "debug", "NITRO_LOG__LEVELS__D.eF": "warning"},
            LogSettings(levels={"a.b": "debug", "c": "error", "D.eF": "warning"}),
        ),
    ],
)
def test_table_and_short_form(tmp_path: Path, text: str, environ: dict[str, str], shipped: LogSettings) -> None:
    assert ship(tmp_path, text, environ) == shipped


def test_development_has_a_level_of_its_own(tmp_path: Path) -> None:
    assert ship(tmp_path, "", {}, "development").level == "info"
    assert ship(tmp_path, "log.level = 'warning'", {}, "development").level == "warning"


def test_variables_where_the_bundle_runs() -> None:
    shipped = {"log": {"format": "text", "level": "info", "levels": {"a.b": "info", "c": "error"}}}
    environ = {"NITRO_LOG": "json", "NITRO_LOG__LEVEL": "error", "NITRO_LOG__LEVELS__A__B": "debug"}
    log = Settings.from_json(shipped, environ).log
    assert log == LogSettings("json", "error", {"a.b": "debug", "c": "error"})
    assert Settings.from_json(shipped, {**environ, "NITRO_LOG__FORMAT": "text"}).log.format == "text"


@pytest.mark.parametrize(
    ("text", "key", "expected", "got", "hint"),
    [
        (
            "log = 'xml'",
            "log",
            'one of `"json"`, `"text"`, or a table',
            '"xml"',
            'Write `log = "json"`, for example.',
        ),
        ("log = 3", "log", 'one of `"json"`, `"text"`, or a table', "3", 'Write `log = "json"`, for example.'),
        (
            "log.format = 'xml'",
            "log.format",
            'one of `"json"`, `"text"`',
            '"xml"',
            'Write `format = "text"`, for example.',
        ),
        ("log.level = 'INFO'", "log.level", LEVELS, '"INFO"', LEVEL_HINT),
        ("log.level = 20", "log.level", LEVELS, "20", LEVEL_HINT),
        ("log.levels = 'info'", "log.levels", "a table", '"info"', "Write its keys below a line `[log.levels]`."),
        (
            "log.levels = { \"a.b\" = 'all' }",
            'log.levels."a.b"',
            LEVELS,
            '"all"',
            'Write `"a.b" = "info"`, for example.',
        ),
        (
            "log.levels.a.b = 'info'",
            "log.levels.a",
            'a level (a name with dots needs quotes, such as `"shop.prices"`)',
            '{"b": "info"}',
            'Write `a = "info"`, for example.',
        ),
        (
            "log.levels.root = 'info'",
            "log.levels.root",
            "the name of a logger (`log.level` is the level of the root)",
            '"root"',
            'Write `root = "info"`, for example.',
        ),
    ],
)
def test_wrong_value(tmp_path: Path, text: str, key: str, expected: str, got: str, hint: str) -> None:
    error = fail_to_load(tmp_path, f"# a comment\n{text}")
    assert error.message == f"`{key}`: expected {expected}, got `{got}`."
    assert (error.file, error.line, error.hint) == ("nitro.toml", 2, hint)


@pytest.mark.parametrize(
    ("name", "value", "message", "hint"),
    [
        (
            "NITRO_LOG",
            "xml",
            '`log.format` from `NITRO_LOG`: expected one of `"json"`, `"text"`, got `"xml"`.',
            "Set `NITRO_LOG=text`, for example.",
        ),
        (
            "NITRO_LOG__LEVEL",
            "all",
            f'`log.level` from `NITRO_LOG__LEVEL`: expected {LEVELS}, got `"all"`.',
            "Set `NITRO_LOG__LEVEL=info`, for example.",
        ),
        (
            "NITRO_LOG__LEVELS__A__B",
            "all",
            f'`log.levels."a.b"` from `NITRO_LOG__LEVELS__A__B`: expected {LEVELS}, got `"all"`.',
            "Set `NITRO_LOG__LEVELS__A__B=info`, for example.",
        ),
        (
            "NITRO_LOG__LEVELS",
            "info",
            "Unknown key `NITRO_LOG__LEVELS` in the environment: "
            "expected one of `NITRO_LOG__FORMAT`, `NITRO_LOG__LEVEL`, got `NITRO_LOG__LEVELS`.",
            "Did you mean `NITRO_LOG__LEVEL`?",
        ),
    ],
)
def test_wrong_variable(tmp_path: Path, name: str, value: str, message: str, hint: str) -> None:
    error = fail_to_load(tmp_path, "", environ={name: value})
    assert (error.message, error.hint) == (message, hint)


def test_schema_knows_both_forms() -> None:
    schema = make_models(()).json_schema
    table, short = schema["properties"]["log"]["anyOf"]
    assert table == {"$ref": "#/$defs/LogTable"}
    assert sorted(short["enum"]) == ["json", "text"]
