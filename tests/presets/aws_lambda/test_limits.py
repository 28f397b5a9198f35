"""What Lambda does not take is an error of the build, which leaves the last bundle as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nitro_py.build.pipeline import check_limits, write_plan
from nitro_py.errors import BuildError
from tests.bundles import plan_project, write_files

HELLO = "from nitro_py import define_handler\n@define_handler\ndef handler(event): ...\n"
# Of which base64 makes more than Lambda answers with.
LARGE = 5 * 1024 * 1024


def write_project(root: Path, settings: str = "") -> Path:
    """Write a project with a large public file."""
    write_files(root, {"handlers/a.py": HELLO, "nitro.toml": settings})
    (root / "public").mkdir()
    (root / "public/film.bin").write_bytes(bytes(LARGE))
    return root


def test_public_file_that_no_answer_can_hold(tmp_path: Path) -> None:
    root = write_project(tmp_path)
    with pytest.raises(
        BuildError, match=r"`public/film\.bin` has 5\.2 MB, and Lambda answers with at most"
    ) as caught:
        plan_project(root, preset="aws-lambda")
    assert caught.value.file == "public/film.bin"
    assert caught.value.hint is not None
    assert "aws.streaming" in caught.value.hint


def test_streamed_answers_hold_more(tmp_path: Path) -> None:
    root = write_project(tmp_path, 'aws.streaming = "function-url"\n')
    assert plan_project(root, preset="aws-lambda").manifest.public.keys() == {"/film.bin"}
    assert plan_project(root, preset="asgi").manifest.public.keys() == {"/film.bin"}


def test_bundle_that_lambda_does_not_unpack(tmp_path: Path) -> None:
    plan = plan_project(write_project(tmp_path, 'aws.streaming = "function-url"\n'), preset="aws-lambda")
    sizes = {"server/public/film.bin": 240_000_000, "server/vendor/a.so": 30_000_000, "function.zip": 90_000_000}
    with pytest.raises(BuildError, match=r"`server` has 270\.0 MB, more than what Lambda unpacks") as caught:
        check_limits(plan.bundle, sizes)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("The largest files are `server/public/film.bin` (240.0 MB)")
    check_limits(plan.bundle, {"server/a": 1, "function.zip": 90_000_000})


def test_limit_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    plan = plan_project(write_project(tmp_path, 'aws.streaming = "function-url"\n'), preset="aws-lambda")
    limits = tuple(replace(limit, size=LARGE - 1) for limit in plan.bundle.limits)
    with pytest.raises(BuildError, match="more than what Lambda unpacks"):
        write_plan(replace(plan, bundle=replace(plan.bundle, limits=limits)))
    assert not plan.output.exists()
