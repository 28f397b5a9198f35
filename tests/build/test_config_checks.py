"""The rules that one setting sets for another."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.config.load import LoadedConfig, check_config, load_config
from nitro_py.errors import ConfigError


def load(root: Path, text: str) -> LoadedConfig:
    """Write a file and load it."""
    (root / "nitro.toml").write_text(text)
    return load_config(root, mode="production", overrides={}, environ={})


def fail(root: Path, text: str) -> str:
    """Write a file whose loading fails, and return the error as it is shown."""
    with pytest.raises(ConfigError) as caught:
        load(root, text)
    return str(caught.value)


def serve_chat(path: str) -> str | None:
    """Serve one path, as a router does that knows one route."""
    return "handlers/chat.py" if path == "/chat" else None


def test_live_reload_on_the_port_of_the_app_needs_a_path(tmp_path: Path) -> None:
    assert fail(tmp_path, "[dev]\nport = 4000\nhmr.port = 4000") == (
        "`dev.hmr.port`: expected another port than `dev.port`, as long as `dev.hmr.path` is not set, "
        "got `4000`.\n"
        "  at nitro.toml:3\n"
        '  hint: Leave `dev.hmr.port` out, or set `dev.hmr.path = "/_nitro/hmr"`.'
    )


def test_live_reload_on_a_path_that_a_route_serves(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[dev]\nport = 4000\n[dev.hmr]\nport = 4000\npath = "/chat"\n')
    with pytest.raises(ConfigError) as caught:
        check_config(loaded, serve_chat)
    assert str(caught.value) == (
        "`dev.hmr.path`: expected a path that no route serves, since `dev.hmr.port` is `dev.port` (4000) "
        'and `handlers/chat.py` serves this one, got `"/chat"`.\n'
        "  at nitro.toml:5\n"
        "  hint: Choose another `dev.hmr.path`, or another `dev.hmr.port`."
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dev = { port = 4000, hmr = { port = 4000, path = '/hmr' } }",
        "dev.hmr.path = '/chat'",
        "dev = { port = 0, hmr.port = 0 }",
        "dev = { port = 0, hmr = { port = 0, path = '/chat' } }",
        "dev = { port = 65535, hmr.port = 65534 }",
    ],
)
def test_live_reload_apart_from_the_app(tmp_path: Path, text: str) -> None:
    check_config(load(tmp_path, text), serve_chat)


def test_no_port_left_for_live_reload(tmp_path: Path) -> None:
    assert fail(tmp_path, "dev.port = 65534") == (
        "`dev.port`: expected at most 65533, so that live reload can use `dev.port` + 2, got `65534`.\n"
        "  at nitro.toml:1\n"
        "  hint: Choose a lower `dev.port`, or set `dev.hmr.port`."
    )


def test_delay_that_leaves_no_time_to_stop(tmp_path: Path) -> None:
    assert fail(tmp_path, "[server]\ngrace = 5\ndrain_delay = 5\n") == (
        "`server.drain_delay`: expected less than `server.grace` (5), of which it is a part, got `5.0`.\n"
        "  at nitro.toml:3\n"
        "  hint: Choose a shorter `server.drain_delay`, or a longer `server.grace`."
    )
    assert load(tmp_path, "[server]\ngrace = 5\ndrain_delay = 4.5\n").config.server.drain_delay == 4.5


@pytest.mark.parametrize(
    ("text", "name", "folder", "other", "other_folder"),
    [
        ("output_dir = 'handlers'", "output_dir", "handlers", "handlers_dir", "handlers"),
        ("output_dir = 'handlers/out'", "output_dir", "handlers/out", "handlers_dir", "handlers"),
        ("handlers_dir = '.output/x'", "handlers_dir", ".output/x", "output_dir", ".output"),
        ("public_dir = './.output/'", "public_dir", ".output", "output_dir", ".output"),
        ("public_dir = 'handlers/public'", "public_dir", "handlers/public", "handlers_dir", "handlers"),
    ],
)
def test_folders_within_each_other(
    tmp_path: Path, text: str, name: str, folder: str, other: str, other_folder: str
) -> None:
    assert fail(tmp_path, text) == (
        f'`{name}`: expected a folder apart from `{other}` (`{other_folder}`), got `"{folder}"`.\n'
        "  at nitro.toml:1\n"
        f"  hint: Choose a folder that is neither inside `{other_folder}` nor around it."
    )


def test_folders_whose_names_start_alike(tmp_path: Path) -> None:
    assert load(tmp_path, "output_dir = 'handlers.out'").config.output_dir == "handlers.out"


def test_folder_that_a_link_leads_out_of_the_project(tmp_path: Path) -> None:
    root = tmp_path / "project"
    outside = tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "public").symlink_to(outside, target_is_directory=True)
    assert fail(root, "public_dir = 'public'") == (
        '`public_dir`: expected a folder inside the project, symbolic links followed, got `"public"`.\n'
        "  at nitro.toml:1\n"
        f"  hint: It leads to `{outside.resolve()}`: replace the link by a folder."
    )


def test_folders_that_a_link_makes_one(tmp_path: Path) -> None:
    (tmp_path / "handlers").mkdir()
    (tmp_path / "public").symlink_to("handlers", target_is_directory=True)
    assert fail(tmp_path, "").splitlines()[0] == (
        '`handlers_dir`: expected a folder apart from `public_dir` (`public`), got `"handlers"`.'
    )


@pytest.mark.parametrize(
    ("key", "variable"),
    [
        ("secret", "SECRET"),
        ("DB_PASSWORD", "DB_PASSWORD"),
        ("passwd", "PASSWD"),
        ("access_token", "ACCESS_TOKEN"),
        ("apiKey", "APIKEY"),
        ("api_key", "API_KEY"),
        ("private_key", "PRIVATE_KEY"),
        ("credentials.aws_credential", "CREDENTIALS__AWS_CREDENTIAL"),
    ],
)
def test_secret_in_the_file(tmp_path: Path, key: str, variable: str) -> None:
    shown = fail(tmp_path, f"[runtime_config]\nname = 'x'\n{key} = 'hunter2'")
    assert shown == (
        f'`runtime_config.{key}` looks like a secret, and bundles hold none: expected `""`, got a value.\n'
        "  at nitro.toml:3\n"
        f'  hint: Leave it `""`, and set `NITRO_RUNTIME_CONFIG__{variable}=...` where the bundle runs.'
    )


def test_secret_left_empty(tmp_path: Path) -> None:
    text = "runtime_config = { api_token = '', max_tokens = 5, monkey = 'x', db = { password = '' } }"
    assert load(tmp_path, text).config.runtime_config["max_tokens"] == 5
