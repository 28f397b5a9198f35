"""Where settings come from, and which source wins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from nitro_py.build.config.environment import RESERVED
from nitro_py.build.config.layers import Place
from nitro_py.build.config.load import LoadedConfig, Mode, load_config
from nitro_py.build.config.schema import make_models
from nitro_py.build.config.settings import NitroConfig, runtime_settings
from nitro_py.errors import ConfigError
from nitro_py.runtime.settings import Settings


def load(
    root: Path,
    text: str | None = None,
    *,
    file: str = "nitro.toml",
    mode: Mode = "production",
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> LoadedConfig:
    """Write a file and load the configuration of its folder."""
    if text is not None:
        (root / file).write_text(text)
    return load_config(root, mode=mode, overrides=overrides or {}, environ=environ or {})


def test_defaults(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    config = loaded.config
    assert (loaded.source, loaded.root, loaded.mode) == (None, tmp_path, "production")
    assert config == NitroConfig()
    assert (config.preset, config.ignore, config.include, config.runtime_config) == (None, (), (), {})
    assert (config.handlers_dir, config.public_dir, config.output_dir) == ("handlers", "public", ".output")
    assert (config.dev.host, config.dev.port, config.dev.hmr_port) == ("127.0.0.1", 3000, 3002)
    assert not config.websocket_enabled


def test_runtime_settings_are_what_the_runtime_has_by_default() -> None:
    settings = runtime_settings(NitroConfig())
    # Not where the project stands on the machine that builds, nor what only a preset reads.
    assert not settings.keys() & {"aws", "container", "dev", "handlers_dir", "include", "preset"}
    assert Settings.from_json(settings, environ={}) == Settings()


@pytest.mark.parametrize(
    ("file", "environ", "limits"),
    [
        ("", {}, (1.0, 0.2)),
        ("server.block_warning = 1", {}, (1.0, 1.0)),
        ("server.block_warning = 5", {}, (5.0, 5.0)),
        ("[development]\nserver.block_warning = 3", {}, (1.0, 3.0)),
        ("", {"NITRO_SERVER__BLOCK_WARNING": "1"}, (1.0, 1.0)),
    ],
)
def test_warning_of_blocked_loops_comes_early_in_development_unless_it_is_set(
    tmp_path: Path, file: str, environ: dict[str, str], limits: tuple[float, float]
) -> None:
    modes: tuple[Mode, ...] = ("production", "development")
    shipped = [runtime_settings(load(tmp_path, file, mode=mode, environ=environ).config, mode) for mode in modes]
    assert tuple(Settings.from_json(settings, {}).server.block_warning for settings in shipped) == limits


def test_runtime_settings_are_json() -> None:
    values = {"websocket": {"allowed_origins": ["*.Example.com"]}, "runtime_config": {"a": [1, {"b": None}]}}
    settings = runtime_settings(NitroConfig.model_validate(values))
    assert settings["runtime_config"] == {"a": [1, {"b": None}]}
    assert settings["websocket"] == {
        "allowed_origins": ["*.example.com"],
        "max_message": 1024 * 1024,
        "max_queue": 64,
        "idle_timeout": 30.0,
        "buffer_limit": 4 * 1024 * 1024,
        "compression": False,
    }


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("nitro.toml", 'preset = "asgi"\n[dev]\nport = 4000\n'),
        ("nitro.toml", '\ufeffpreset = "asgi"\r\ndev.port = 4000\r\n'),
        ("pyproject.toml", '[tool.nitropy]\npreset = "asgi"\ndev.port = 4000\n[tool.other]\npreset = 1'),
    ],
)
def test_either_file(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text, encoding="utf-8", newline="")
    loaded = load(tmp_path)
    assert loaded.source == file
    assert (loaded.config.preset, loaded.config.dev.port) == ("asgi", 4000)
    assert loaded.place("preset").source == f"`{file}`"


@pytest.mark.parametrize("text", ["", "tool = 1", "[tool.other]\na = 1", "[project]\nname = 'x'"])
def test_pyproject_of_somebody_else(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text, file="pyproject.toml").source is None


def test_own_file_beside_a_pyproject_without_settings(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")
    assert load(tmp_path, "preset = 'asgi'").source == "nitro.toml"


@pytest.mark.parametrize(("mode", "port"), [("production", 1), ("development", 2)])
def test_section_of_the_mode_is_merged(tmp_path: Path, mode: Mode, port: int) -> None:
    text = """
dev = { host = "::1", port = 9 }
runtime_config = { a = { b = 1, c = 2 }, d = [1] }
[production]
dev.port = 1
runtime_config = { a = { b = 3 }, d = [] }
[development]
dev.port = 2
"""
    config = load(tmp_path, text, mode=mode).config
    assert (config.dev.host, config.dev.port) == ("::1", port)
    merged = {"a": {"b": 3, "c": 2}, "d": []}
    assert config.runtime_config == (merged if mode == "production" else {"a": {"b": 1, "c": 2}, "d": [1]})


def test_precedence_and_places(tmp_path: Path) -> None:
    text = """
preset = "file"
handlers_dir = "h"
output_dir = "base"
public_dir = "base_public"
[production]
preset = "section"
output_dir = "section"
public_dir = "section_public"
"""
    loaded = load(
        tmp_path,
        text,
        overrides={"preset": "flag", "output_dir": None},
        environ={"NITRO_PRESET": "variable", "NITRO_OUTPUT_DIR": "variable", "OTHER": "x"},
    )
    config = loaded.config
    assert config.handlers_dir == "h"
    assert config.public_dir == "section_public"
    assert config.output_dir == "variable"
    assert config.preset == "flag"
    assert loaded.place("handlers_dir") == Place(file="nitro.toml", line=3)
    assert loaded.place("public_dir") == Place(file="nitro.toml", line=9)
    assert loaded.place("output_dir") == Place(variable="NITRO_OUTPUT_DIR")
    assert loaded.place("preset") == Place(command_line=True)
    assert loaded.place("dev.port") == Place()
    assert loaded.place("dev.port").source is None


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("NITRO_PRESET", "asgi", "preset", "asgi"),
        ("NITRO_PRESET", "", "preset", None),
        ("NITRO_WEBSOCKET__MAX_QUEUE", "7", "websocket.max_queue", 7),
        ("NITRO_WEBSOCKET__COMPRESSION", "True", "websocket.compression", True),
        ("NITRO_WEBSOCKET__COMPRESSION", "1", "websocket.compression", True),
        ("NITRO_WEBSOCKET__COMPRESSION", "0", "websocket.compression", False),
        ("NITRO_WEBSOCKET__IDLE_TIMEOUT", "2.5", "websocket.idle_timeout", 2.5),
        ("NITRO_SSE__HEARTBEAT", "0", "sse.heartbeat", 0.0),
        ("NITRO_DEV__HMR__PORT", "4000", "dev.hmr.port", 4000),
        ("NITRO_DEV__HMR__PORT", "", "dev.hmr.port", None),
        ("NITRO_DEV__HMR__PATH", "/x", "dev.hmr.path", "/x"),
        ("NITRO_IGNORE", "a/*, b", "ignore", ("a/*", "b")),
        ("NITRO_IGNORE", '["a,b"]', "ignore", ("a,b",)),
        ("NITRO_IGNORE", "", "ignore", ()),
    ],
)
def test_variable_is_read_as_its_type(tmp_path: Path, name: str, text: str, key: str, value: object) -> None:
    found: object = load(tmp_path, environ={name: text}).config
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)


def test_empty_variable_unsets_what_the_file_says(tmp_path: Path) -> None:
    assert load(tmp_path, "preset = 'asgi'", environ={"NITRO_PRESET": ""}).config.preset is None


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_variable_is_left_alone(tmp_path: Path, name: str) -> None:
    loaded = load(tmp_path, "runtime_config.name = 'file'", environ={name.replace("*", "NAME"): "x"})
    assert loaded.config.runtime_config == {"name": "file"}


@pytest.mark.parametrize("section", ["experimental", "features"])
def test_either_switch_turns_websocket_on(tmp_path: Path, section: str) -> None:
    assert load(tmp_path, f"{section}.websocket = true").config.websocket_enabled


@pytest.mark.parametrize(
    ("text", "port"), [("dev.port = 4000", 4002), ("dev.port = 0", 0), ("dev.hmr.port = 5000", 5000)]
)
def test_live_reload_port(tmp_path: Path, text: str, port: int) -> None:
    assert load(tmp_path, text).config.dev.hmr_port == port


@pytest.mark.parametrize(("text", "folder"), [("./routes/", "routes"), ("src//routes", "src/routes")])
def test_folder_is_normalised(tmp_path: Path, text: str, folder: str) -> None:
    assert load(tmp_path, f"handlers_dir = '{text}'").config.handlers_dir == folder


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "*.example.com",
        "https://example.com",
        "http://localhost:3000",
        "http://[::1]:80",
        "http://*.example.com",
    ],
)
def test_origin_is_accepted(tmp_path: Path, origin: str) -> None:
    assert load(tmp_path, f"websocket.allowed_origins = ['{origin}']").config.websocket.allowed_origins == (
        origin,
    )


def test_settings_are_frozen(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path).config.dev.port = 1


def test_both_files_are_one_too_many(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\n\n[tool.nitropy]\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "")
    assert str(caught.value) == (
        "`nitro.toml` and `[tool.nitropy]` in `pyproject.toml` both exist: expected one, got two.\n"
        "  at pyproject.toml:3\n"
        "  hint: Move the settings of one into the other, and delete `nitro.toml` or `[tool.nitropy]`."
    )


def test_schema_describes_every_key() -> None:
    schema = make_models(()).json_schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"production", "development", "websocket", "experimental"} <= set(schema["properties"])
    assert set(schema["properties"]) - set(schema["$defs"]["NitroConfig"]["properties"]) == {
        "development",
        "production",
    }
    assert schema["$defs"]["DevTable"]["properties"]["port"]["maximum"] == 65535
    for model in (schema, *schema["$defs"].values()):
        for name, value in model.get("properties", {}).items():
            assert value["description"].endswith("."), name
    assert all(model["additionalProperties"] is False for model in schema["$defs"].values() if model)
