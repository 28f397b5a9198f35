"""The errors of `nitropy publish` when it is called wrongly."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import NITROPY, fail

# A port that nothing listens on.
NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "url", ["x", "http://", "http://[bad", "http://127.0.0.1:99999", "http://127.0.0.1:x", "file:///etc/passwd"]
)
def test_url_of_no_server(tmp_path: Path, url: str) -> None:
    assert fail(tmp_path, "publish", "chat", "hi", "--url", url, "--token", "x") == (
        f"`{url}` is no URL of a server.\n  hint: Write it as `http://127.0.0.1:3000`.\n"
    )


@pytest.mark.parametrize("url", [f"{NOBODY}/ö", f"{NOBODY}/a b", "http://..:1", NOBODY])
def test_server_that_cannot_be_asked(tmp_path: Path, url: str) -> None:
    error = fail(tmp_path, "publish", "chat", "hi", "--url", url, "--token", "x")
    assert error.startswith(f"The server at {url}/_nitro/publish cannot be reached: ")


@pytest.mark.parametrize("token", ["sesame\nx: y", "sesame€", "sesame\x7f"])
def test_token_that_no_header_carries(tmp_path: Path, token: str) -> None:
    error = fail(tmp_path, "publish", "chat", "hi", "--url", NOBODY, "--token", token)
    assert error.startswith("The token has a character that no header can carry.\n")
    assert "sesame" not in error


@pytest.mark.parametrize("preset", [(), ("--preset", "aws-lambda")])
@pytest.mark.parametrize(
    "arguments", [("\udc80", "hi"), ("chat", "hi", "--namespace", "\udc80"), ("x" * 4097, "hi")]
)
def test_topic_that_no_app_takes(tmp_path: Path, arguments: tuple[str, ...], preset: tuple[str, ...]) -> None:
    server = preset or ("--url", NOBODY, "--token", "x")
    error = fail(tmp_path, "publish", *arguments, *server)
    assert error.startswith(("A topic ", "A namespace "))


def test_data_that_is_no_json_for_its_depth_is_text(tmp_path: Path) -> None:
    error = fail(tmp_path, "publish", "chat", "[" * 20_000, "--url", NOBODY, "--token", "x")
    assert "cannot be reached" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stack", "x"), "`--stack` means nothing without `--preset`."),
        (("--region", "x"), "`--region` means nothing without `--preset`."),
        (("--preset", "aws-lambda", "--url", NOBODY), "`--url` means nothing with `--preset`."),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    error = fail(tmp_path, "publish", "chat", "hi", *options)
    assert error == f"{message}\n  hint: Leave it out, or see `nitropy publish --help`.\n"


@pytest.mark.parametrize("command", ["build", "dev", "publish chat hi"])
def test_folder_that_is_gone(tmp_path: Path, command: str) -> None:
    # By the shell that becomes the command: no process can be started in a folder that is gone.
    script = f'rmdir "$PWD" && exec "{NITROPY}" {command}'
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: The current folder is gone.\n  hint: Change into the project's folder.\n"
