"""What a user reads who has done something wrong: what, where, and what to do; never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bundles import write_files
from tests.cli.commands import CHAT, FLAG, HELLO, PROJECT, QUOTED, fail, make_project, run_nitropy, succeed
from tests.ports import listen_somewhere


def fail_to_build(root: Path, files: dict[str, str], *arguments: str) -> str:
    """Build a project that cannot be built, checks that nothing was written, and return the error."""
    error = fail(write_files(root, files), "build", *arguments)
    assert not (root / ".output/nitro.json").exists()
    return error


def test_broken_toml(tmp_path: Path) -> None:
    assert fail_to_build(tmp_path, {"nitro.toml": "[dev\nport = 1\n"}) == (
        "`nitro.toml` is not valid TOML: Expected ']' at the end of a table declaration at column 5, got `[dev`.\n"
        "  at nitro.toml:1\n"
        "  hint: Text needs quotes, each key its own line, and a table a line such as `[dev]`.\n"
    )


def test_unknown_key(tmp_path: Path) -> None:
    assert fail_to_build(tmp_path, {"nitro.toml": "[dev]\nprot = 1\n"}) == (
        "Unknown key `dev.prot` in `nitro.toml`: expected one of `hmr`, `host`, `port`, got `prot`.\n"
        "  at nitro.toml:2\n"
        "  hint: Did you mean `dev.port`?\n"
    )


def test_wrong_type(tmp_path: Path) -> None:
    assert fail_to_build(tmp_path, {"nitro.toml": 'dev.port = "3000"\n'}) == (
        '`dev.port`: expected an integer from 0 to 65535, got `"3000"`.\n'
        "  at nitro.toml:1\n"
        "  hint: Write `port = 3000`, for example.\n"
    )


@pytest.mark.parametrize("command", ["build", "check"])
def test_port_clash(tmp_path: Path, command: str) -> None:
    root = write_files(tmp_path, {"nitro.toml": "[dev]\nport = 4000\nhmr.port = 4000\n"})
    assert fail(root, command) == (
        "`dev.hmr.port`: expected another port than `dev.port`, as long as `dev.hmr.path` is not set, "
        "got `4000`.\n"
        "  at nitro.toml:3\n"
        '  hint: Leave `dev.hmr.port` out, or set `dev.hmr.path = "/_nitro/hmr"`.\n'
    )


@pytest.mark.parametrize("command", ["build", "check"])
def test_live_reload_at_the_path_of_a_route(tmp_path: Path, command: str) -> None:
    config = '[dev]\nport = 4000\nhmr.port = 4000\nhmr.path = "/api/hello"\n'
    root = write_files(tmp_path, {"nitro.toml": config, "handlers/api/hello.get.py": HELLO})
    assert fail(root, command) == (
        "`dev.hmr.path`: expected a path that no route serves, since `dev.hmr.port` is `dev.port` (4000) "
        'and `handlers/api/hello.get.py` serves this one, got `"/api/hello"`.\n'
        "  at nitro.toml:4\n"
        "  hint: Choose another `dev.hmr.path`, or another `dev.hmr.port`.\n"
    )


def test_duplicate_route(tmp_path: Path) -> None:
    files = {"handlers/api/hello.get.py": HELLO, "handlers/(public)/api/hello.get.py": HELLO}
    assert fail_to_build(tmp_path, files) == (
        "`handlers/(public)/api/hello.get.py` and `handlers/api/hello.get.py` both serve GET `/api/hello`.\n"
        "  at handlers/api/hello.get.py\n"
        "  hint: Delete one of them, or give it another name or method.\n"
    )


def test_no_handler(tmp_path: Path) -> None:
    assert fail_to_build(tmp_path, {"handlers/a.py": "def handler(): ...\n"}) == (
        "`handlers/a.py` has no handler: expected exactly one, got the function `handler()`.\n"
        "  at handlers/a.py:1\n"
        "  hint: Write `@define_handler` above `handler`, and take `event` alone; "
        "a helper's file name starts with `_`.\n"
    )


def test_two_handlers(tmp_path: Path) -> None:
    source = "from nitro_py import define_handler\n\nfirst = define_handler(str)\nsecond = define_handler(repr)\n"
    assert fail_to_build(tmp_path, {"handlers/a.py": source}) == (
        "`handlers/a.py` has 2 handlers: expected exactly one, got `first`, `second`.\n"
        "  at handlers/a.py:4\n"
        "  hint: Move each handler into a file of its own.\n"
    )


def test_syntax_error(tmp_path: Path) -> None:
    assert fail_to_build(tmp_path, {"handlers/a.py": "import json\n\nvalue = = 1\n"}) == (
        "`handlers/a.py` is not valid Python: invalid syntax.\n  at handlers/a.py:3\n"
    )


@pytest.mark.parametrize(
    ("file", "text", "quoted"),
    [
        ("handlers/a.py", "import json\n\nvalue = = 1\n", ["    |", "  3 | value = = 1", "    |         ^"]),
        (
            "handlers/a.py",
            "if True:\n\timport nowhere\n",
            ["    |", "  2 |   import nowhere", "    |   ^^^^^^^^^^^^^^"],
        ),
        ("nitro.toml", "[dev]\n  prot = 1  \n", ["    |", "  2 |   prot = 1", "    |   ^^^^^^^^"]),
        ("nitro.toml", 'preset = "\x9bm"\n', ["    |", '  1 | preset = "\ufffdm"', "    | ^^^^^^^^^^^^^"]),
    ],
    ids=["column", "tab", "statement", "control"],
)
def test_source_line_is_shown(tmp_path: Path, file: str, text: str, quoted: list[str]) -> None:
    done = run_nitropy(write_files(tmp_path, {"handlers/hello.get.py": HELLO, file: text}), "check")
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if QUOTED.match(line)] == quoted


def test_import_error(tmp_path: Path) -> None:
    assert fail_to_build(tmp_path, {"handlers/a.py": "import json\nimport nowhere_to_be_found.at_all\n"}) == (
        "`handlers/a.py` cannot be imported: No module named 'nowhere_to_be_found'.\n"
        "  at handlers/a.py:2\n"
        "  hint: Install the package that provides `nowhere_to_be_found`, which may have another name, "
        "or correct the import.\n"
    )


def test_websocket_without_the_flag(tmp_path: Path) -> None:
    assert fail_to_build(tmp_path, {"handlers/api/ws.py": CHAT}) == (
        "`handlers/api/ws.py` is a WebSocket route, and WebSocket is off.\n"
        "  at handlers/api/ws.py\n"
        "  hint: Add these two lines to `nitro.toml`:\n"
        "    [experimental]\n"
        "    websocket = true\n"
    )


def test_unknown_preset(tmp_path: Path) -> None:
    error = fail_to_build(tmp_path, PROJECT, "--preset", "asgy")
    message, hint = error.splitlines()
    assert message.startswith("Unknown preset `asgy`: expected one of `")
    assert "`asgi`" in message
    assert message.endswith(", or a folder with a `preset.py`.")
    assert hint == "  hint: Did you mean `asgi`?"


def test_unwritable_output(tmp_path: Path) -> None:
    root = make_project(tmp_path, {".output": "not a folder"})
    expected = (
        "The output folder `.output` is a file.\n"
        f"  at {root}/.output\n"
        "  hint: Move it away, or set `output_dir` to another folder.\n"
    )
    assert fail(root, "build") == expected
    assert fail(root, "check") == expected
    assert (root / ".output").read_text() == "not a folder"


def test_output_that_no_build_wrote(tmp_path: Path) -> None:
    root = make_project(tmp_path, {".output/thesis.txt": "years of work"})
    assert fail(root, "build").startswith("The output folder `.output` holds files that no build wrote")
    assert (root / ".output/thesis.txt").read_text() == "years of work"


def test_link_out_of_the_public_folder(tmp_path: Path) -> None:
    write_files(tmp_path, {"secret.txt": "secret", "public/index.html": ""})
    (tmp_path / "public/leak.txt").symlink_to(tmp_path / "secret.txt")
    error = fail_to_build(tmp_path, PROJECT)
    assert "`public/leak.txt`" in error
    assert "\n  at public/leak.txt\n" in error
    assert "\n  hint: " in error


def test_failed_build_leaves_the_last_good_output(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    succeed(root, "build")
    before = (root / ".output/server/manifest.json").read_bytes()
    write_files(root, {"handlers/a.py": "def"})
    fail(root, "build")
    assert (root / ".output/server/manifest.json").read_bytes() == before


def test_wrong_variable(tmp_path: Path) -> None:
    error = fail(make_project(tmp_path), "check", environ={"NITRO_DEV__PORT": "x"})
    assert error.startswith('`dev.port` from `NITRO_DEV__PORT`: expected an integer from 0 to 65535, got `"x"`.\n')


def test_no_bundle_to_preview(tmp_path: Path) -> None:
    assert fail(make_project(tmp_path), "preview") == (
        "There is no bundle in `.output`.\n  hint: Build one first: `nitropy build`.\n"
    )


@pytest.mark.parametrize("command", ["preview", "dev"])
def test_busy_port(tmp_path: Path, command: str) -> None:
    root = make_project(tmp_path)
    if command == "preview":
        succeed(root, "build")
    with listen_somewhere() as busy:
        port = busy.getsockname()[1]
        message, hint = fail(root, command, "--port", str(port)).splitlines()
    assert message == f"Port {port} on 127.0.0.1 is busy."
    assert hint.startswith("  hint: Use `--port ")
    assert hint.endswith("`, which is free.")


def test_busy_port_of_live_reload(tmp_path: Path) -> None:
    with listen_somewhere() as busy:
        port = busy.getsockname()[1]
        error = fail(make_project(tmp_path), "dev", "--port", "0", "--hmr-port", str(port))
    assert error.startswith(f"Port {port} on 127.0.0.1 is busy.\n  hint: Use `--hmr-port ")


@pytest.mark.parametrize(
    "arguments",
    [["--nope"], ["nope"], ["build", "--nope"], ["preview", "--port", "x"], ["init"], ["publish", "a"]],
)
def test_wrong_command_line(tmp_path: Path, arguments: list[str]) -> None:
    done = run_nitropy(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: nitropy")
    assert "\nError: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_several_problems_are_all_told(tmp_path: Path) -> None:
    error = fail_to_build(tmp_path, {"nitro.toml": FLAG, "handlers/a.py": "def", "handlers/b.py": ""})
    assert error.startswith("2 problems were found.\n")
    assert "  at handlers/a.py:1\n" in error
    assert "  at handlers/b.py:1\n" in error


def test_project_that_is_one_folder_off(tmp_path: Path) -> None:
    root = write_files(tmp_path / "chat", {"handlers/api/a.get.py": HELLO})
    for folder, place in ((root / "handlers", ".."), (root / "handlers/api", "../.."), (tmp_path, "chat")):
        assert fail(folder, "check") == (
            "There is no folder `handlers`.\n"
            "  at handlers\n"
            f"  hint: The project is in `{place}`: change into that folder, and run the command again.\n"
        )


def test_folder_of_route_files_that_is_spelt_otherwise(tmp_path: Path) -> None:
    root = write_files(tmp_path / "chat", {"handler/a.get.py": HELLO})
    assert fail(root, "check").endswith(
        '  hint: Rename `handler` to `handlers`, or set `handlers_dir = "handler"`.\n'
    )


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("biuld", "build"),
        ("new", "init"),
        ("run", "dev"),
        ("runserver", "dev"),
        ("serve", "dev"),
        ("start", "dev"),
    ],
)
def test_command_that_other_tools_have(tmp_path: Path, wrong: str, meant: str) -> None:
    done = run_nitropy(tmp_path, wrong)
    assert done.returncode == 2
    assert done.stderr.endswith(f"Error: No such command '{wrong}'. Did you mean '{meant}'?\n")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("dev:\n    port: 3000\n", "Write `[dev]`."),
        ("[dev]\nport: 3000\n", "Write `port = 3000`, with quotes around text."),
        (
            "websocket = true\n",
            "Write its keys below a line `[websocket]`. The switch is `experimental.websocket = true`.",
        ),
    ],
)
def test_settings_as_elsewhere(tmp_path: Path, text: str, hint: str) -> None:
    root = write_files(tmp_path / "chat", {"handlers/a.get.py": HELLO, "nitro.toml": text})
    assert fail(root, "check").endswith(f"  hint: {hint}\n")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        (
            "from nitropy import define_handler",
            "Its package is called `nitro_py`: write `from nitro_py import …`.",
        ),
        ("from nitro_py import definehandler", "Did you mean `define_handler`?"),
        ("from nitro_py import Flask", "Correct the import."),
    ],
)
def test_import_of_ours_that_is_wrong(tmp_path: Path, source: str, hint: str) -> None:
    assert fail_to_build(tmp_path, {"handlers/a.py": source}).endswith(f"  hint: {hint}\n")


@pytest.mark.parametrize("part", ["aws", "lambda"])
def test_part_of_a_preset_is_enough_to_be_understood(tmp_path: Path, part: str) -> None:
    root = write_files(tmp_path / "chat", {"handlers/a.get.py": HELLO})
    assert fail(root, "check", "--preset", part).endswith("  hint: Did you mean `aws-lambda`?\n")
