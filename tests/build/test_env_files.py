"""`.env` and `.env.local`: what they set, in which order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from nitro_py.build.config.env_files import read_env_files
from nitro_py.build.config.errors import ConfigErrors
from nitro_py.build.config.load import LoadedConfig, load_config
from nitro_py.errors import ConfigError
from tests.bundles import plan_project, write_files

HINT = 'Write `NAME=value`, and put quotes around a value with spaces, `#` or several lines: `NAME="a b"`.'
HANDLER = "from nitro_py import define_handler\n@define_handler\ndef handler(event): ...\n"


def load(root: Path, **environ: str) -> LoadedConfig:
    """Load a project as `nitropy dev` does."""
    env_files = read_env_files(root, environ)
    return load_config(root, mode="development", overrides={}, environ=environ, env_files=env_files)


def refuse(root: Path, text: str) -> ConfigError:
    """Write `.env`, check that it is refused, and return the error."""
    write_files(root, {".env": text})
    with pytest.raises(ConfigError) as caught:
        read_env_files(root, {})
    return caught.value


def test_values_are_read_as_python_dotenv_reads_them(tmp_path: Path) -> None:
    text = """
        # A comment.
        PLAIN=a b # a comment
        export EXPORTED=1
        SINGLE='it is $HOME #1'
        DOUBLE="two\\nlines"
        LINES="one
        two"
        EMPTY=
        ONLY_A_NAME
        BOTH=${PLAIN}-${SET}-${UNSET:-default}
        """
    write_files(tmp_path, {".env": text})
    found = read_env_files(tmp_path, {"SET": "environment"})
    assert found.variables == {
        "PLAIN": "a b",
        "EXPORTED": "1",
        "SINGLE": "it is $HOME #1",
        "DOUBLE": "two\nlines",
        "LINES": "one\ntwo",
        "EMPTY": "",
        "BOTH": "a b-environment-default",
    }
    assert {name: place.line for name, place in found.places.items()} == {
        "PLAIN": 2,
        "EXPORTED": 3,
        "SINGLE": 4,
        "DOUBLE": 5,
        "LINES": 6,
        "EMPTY": 8,
        "BOTH": 10,
    }
    assert found.warnings == ()


def test_environment_wins_over_the_local_file_and_that_over_the_other(tmp_path: Path) -> None:
    write_files(tmp_path, {".env": "A=file\nB=file\nC=file\nD=${B}\n", ".env.local": "A=local\nB=local\n"})
    found = read_env_files(tmp_path, {"A": "environment"})
    assert found.variables == {"B": "local", "C": "file", "D": "local"}
    assert (found.places["A"].file, found.places["C"].file) == (".env.local", ".env")


@pytest.mark.parametrize(
    ("text", "line", "got"),
    [
        ("A=1\n\n\nPORT: 3000\n", 4, "no `=`"),
        ("A='it's'\n", 1, "`A=…`"),
        ('A=1\nSECRET="pw\n', 2, "`SECRET=…`"),
        ("=1\n", 1, "`=…`"),
        ("set A=1\n", 1, "`set A=…`"),
    ],
)
def test_line_that_cannot_be_read_is_refused(tmp_path: Path, text: str, line: int, got: str) -> None:
    error = refuse(tmp_path, text)
    assert (error.file, error.line, error.hint) == (".env", line, HINT)
    assert error.message == f"`.env` has a line that cannot be read: expected `NAME=value`, got {got}."


def test_every_wrong_line_is_named(tmp_path: Path) -> None:
    error = refuse(tmp_path, "one two\nA=1\nthree four\n")
    assert isinstance(error, ConfigErrors)
    assert [problem.line for problem in error.problems] == [1, 3]


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=1\nB=\xff\n")
    with pytest.raises(ConfigError) as caught:
        read_env_files(tmp_path, {})
    assert str(caught.value) == (
        "`.env` is not UTF-8: got the byte `0xff`.\n  at .env:2\n  hint: Save the file as UTF-8."
    )
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfA=1\r\nB=2\r\n")
    assert read_env_files(tmp_path, {}).variables == {"A": "1", "B": "2"}


def test_virtual_environment_of_this_name_is_no_file(tmp_path: Path) -> None:
    (tmp_path / ".env" / "bin").mkdir(parents=True)
    assert read_env_files(tmp_path, {}).variables == {}


def test_reference_to_nothing_is_said(tmp_path: Path) -> None:
    write_files(tmp_path, {".env": "\nPASSWORD=a${b}c\n"})
    assert load(tmp_path).warnings == (".env:1 names `${b}`, which nothing above it sets: replaced by nothing.",)


def test_settings_in_the_files_count_as_environment(tmp_path: Path) -> None:
    write_files(tmp_path, {"nitro.toml": "dev.port = 1\nsse.heartbeat = 2", ".env": "NITRO_DEV__PORT=4000"})
    loaded = load(tmp_path)
    assert (loaded.config.dev.port, loaded.config.sse.heartbeat) == (4000, 2)
    assert (loaded.place("dev.port").file, loaded.place("dev.port").line) == (".env", 1)
    assert load(tmp_path, NITRO_DEV__PORT="5000").config.dev.port == 5000


def test_wrong_setting_is_found_in_the_file(tmp_path: Path) -> None:
    write_files(tmp_path, {".env": "\nA=1\nNITRO_DEV__PORT=abc\nNITRO_DEV__PROT=1\n"})
    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path)
    assert str(caught.value) == (
        "Unknown key `NITRO_DEV__PROT` in the environment: expected one of `NITRO_DEV__HMR__PATH`, "
        "`NITRO_DEV__HMR__PORT`, `NITRO_DEV__HOST`, `NITRO_DEV__PORT`, got `NITRO_DEV__PROT`.\n"
        "  at .env:3\n"
        "  hint: Did you mean `NITRO_DEV__PORT`?\n"
        '`dev.port` from `NITRO_DEV__PORT`: expected an integer from 0 to 65535, got `"abc"`.\n'
        "  at .env:2\n"
        "  hint: Set `NITRO_DEV__PORT=3000`, for example."
    )


def test_variable_like_no_setting_is_said_with_its_line(tmp_path: Path) -> None:
    write_files(tmp_path, {".env": "NITRO_SERVICE_HOST=x"})
    assert load(tmp_path).warnings == (
        "No setting has the name of `NITRO_SERVICE_HOST` (.env:1) in the environment: ignored.",
    )


@pytest.mark.parametrize("preset", ["asgi", "aws-lambda", "container"])
def test_files_never_ship_with_a_folder_that_is_included(tmp_path: Path, preset: str) -> None:
    secrets = {
        ".env": "S=from-a-file",
        ".env.local": "S=from-a-file",
        "data/.env": "S=from-a-file",
        "data/.env.local": "S=from-a-file",
    }
    files = {
        "handlers/a.py": HANDLER,
        "data/a.txt": "",
        "handlers/.env": "S=from-a-file",
        "public/.env": "S=from-a-file",
    }
    write_files(tmp_path, {**secrets, **files})
    plan = plan_project(tmp_path, preset=preset, include=("*", "**/*", "data/**"))
    assert any(path.endswith("data/a.txt") for path in plan.bundle.files)
    assert not [path for path in plan.bundle.files if path.rpartition("/")[2].startswith(".env")]
    assert not [path for path, data in plan.bundle.files.items() if b"from-a-file" in data]


def test_build_takes_no_setting_from_the_files(tmp_path: Path) -> None:
    write_files(tmp_path, {"handlers/a.py": HANDLER, ".env": "NITRO_SSE__HEARTBEAT=3\nNITRO_SSE=wrong"})
    assert plan_project(tmp_path).build.config.sse.heartbeat == 15.0
