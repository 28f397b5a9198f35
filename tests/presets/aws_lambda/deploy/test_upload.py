"""Public files that `nitropy deploy` uploads to the stack's bucket, on moto's server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from nitro_presets.aws_lambda.deploy.deploy import DeployResult, deploy
from nitro_presets.aws_lambda.deploy.stack import Change, find_resource
from nitro_presets.aws_lambda.deploy.upload import KEPT_DAYS, REPLACED
from nitro_py.errors import UsageError
from tests.bundles import build_project, write_files

pytestmark = pytest.mark.usefixtures("account")

REGION = "eu-central-1"
HELLO = "from nitro_py import define_handler\n@define_handler\ndef handler(event): ...\n"
OLD = "assets/app.3f9a0c1b.js"
NEW = "assets/app.8e5b12c4.js"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a project."""
    files = {
        "handlers/a.get.py": HELLO,
        "nitro.toml": 'preset = "aws-lambda"\naws.public = "s3"\n',
        "public/index.html": "one",
        f"public/{OLD}": "old",
        "public/robots.txt": "all",
    }
    return write_files(tmp_path / "project", files)


def run(output: Path, name: str, lines: list[str] | None = None, *, dry_run: bool = False) -> DeployResult:
    """Deploy a bundle."""
    return deploy(
        output,
        stack_name=name,
        region=REGION,
        dry_run=dry_run,
        confirm=lambda question: True,
        report=([] if lines is None else lines).append,
        show=lambda changes: None,
    )


def connect(service: str) -> Any:
    """Make boto3's client of a service."""
    return boto3.client(service, region_name=REGION)


def find_bucket(name: str) -> str:
    """Find the bucket of a stack."""
    bucket = find_resource(connect("cloudformation"), name, "PublicBucket")
    assert bucket is not None
    return bucket


def list_keys(bucket: str) -> set[str]:
    """List the keys of a bucket."""
    return {row["Key"] for row in connect("s3").list_objects_v2(Bucket=bucket).get("Contents", ())}


def select_files(result: DeployResult) -> list[tuple[str, str]]:
    """Return what a deployment told of files."""
    return [(change.action, change.name) for change in result.changes if change.kind == "file"]


def test_files_are_uploaded_with_what_other_presets_send(root: Path) -> None:
    lines: list[str] = []
    output = build_project(root)
    # Nothing is there yet, and a dry run leaves nothing behind.
    assert select_files(run(output, "files", dry_run=True)) == [("Upload", "3 in `public/`")]
    result = run(output, "files", lines)
    assert Change("Add", "PublicBucket", "AWS::S3::Bucket") in result.changes
    assert select_files(result) == [("Upload", "3 in `public/`")]
    bucket = find_bucket("files")
    assert f"Uploading 3 public files to `{bucket}`" in lines
    s3 = connect("s3")
    assert list_keys(bucket) == {"index.html", "robots.txt", OLD}
    objects = json.loads((output / "nitro.json").read_text(encoding="utf-8"))["public"]["objects"]
    for key, described in objects.items():
        stored = s3.get_object(Bucket=bucket, Key=key)
        assert stored["Body"].read() == (root / "public" / key).read_bytes()
        assert (stored["ContentType"], stored["CacheControl"]) == (described["kind"], described["cache"])
        assert stored["ETag"] == f'"{described["hash"]}"'


def test_only_what_is_new_is_uploaded_before_the_code(root: Path) -> None:
    run(build_project(root), "again")
    bucket = find_bucket("again")
    first = connect("s3").head_object(Bucket=bucket, Key="robots.txt")["LastModified"]
    # A change of the function, too, so that the order shows.
    write_files(root, {"public/index.html": "two", "handlers/b.get.py": HELLO})
    lines: list[str] = []
    assert select_files(run(build_project(root), "again", lines)) == [("Upload", "1 in `public/`")]
    assert lines.index(f"Uploading 1 public files to `{bucket}`") < lines.index("Applying the changes")
    assert connect("s3").get_object(Bucket=bucket, Key="index.html")["Body"].read() == b"two"
    assert connect("s3").head_object(Bucket=bucket, Key="robots.txt")["LastModified"] == first


def test_files_alone_are_a_deployment(root: Path) -> None:
    run(build_project(root), "alone")
    write_files(root, {"public/robots.txt": "none"})
    result = run(build_project(root), "alone")
    assert (result.applied, result.changes) == (True, (Change("Upload", "1 in `public/`", "file"),))
    # Nothing is left to do.
    assert run(build_project(root), "alone").changes == ()


def test_file_with_a_hash_is_kept_for_a_while(root: Path) -> None:
    run(build_project(root), "kept")
    bucket = find_bucket("kept")
    (root / "public" / OLD).unlink()
    (root / "public/robots.txt").unlink()
    write_files(root, {f"public/{NEW}": "new"})
    result = run(build_project(root), "kept")
    assert select_files(result) == [("Upload", "1 in `public/`"), ("Remove", "1 in `public/`")]
    # An old page may still ask for the one, and nothing may find the other.
    assert list_keys(bucket) == {"index.html", OLD, NEW, REPLACED}
    s3 = connect("s3")
    noted = json.loads(s3.get_object(Bucket=bucket, Key=REPLACED)["Body"].read())
    assert noted.keys() == {OLD}

    def age(days: int) -> None:
        since = datetime.now(UTC) - timedelta(days=days)
        s3.put_object(Bucket=bucket, Key=REPLACED, Body=json.dumps({OLD: since.isoformat()}).encode())

    age(KEPT_DAYS - 1)
    assert run(build_project(root), "kept").changes == ()
    assert OLD in list_keys(bucket)
    age(KEPT_DAYS)
    assert select_files(run(build_project(root), "kept")) == [("Remove", "1 in `public/`")]
    assert list_keys(bucket) == {"index.html", NEW, REPLACED}
    assert json.loads(s3.get_object(Bucket=bucket, Key=REPLACED)["Body"].read()) == {}


def test_file_that_comes_back_is_no_longer_on_the_way_out(root: Path) -> None:
    run(build_project(root), "back")
    (root / "public" / OLD).unlink()
    write_files(root, {f"public/{NEW}": "new"})
    run(build_project(root), "back")
    (root / "public" / NEW).unlink()
    write_files(root, {f"public/{OLD}": "old", "public/index.html": "three"})
    run(build_project(root), "back")
    stored = connect("s3").get_object(Bucket=find_bucket("back"), Key=REPLACED)["Body"].read()
    assert json.loads(stored).keys() == {NEW}


def test_bucket_goes_with_the_setting(root: Path) -> None:
    run(build_project(root), "gone")
    bucket = find_bucket("gone")
    write_files(root, {"nitro.toml": 'preset = "aws-lambda"\n'})
    run(build_project(root), "gone")
    assert find_resource(connect("cloudformation"), "gone", "PublicBucket") is None
    assert bucket not in {row["Name"] for row in connect("s3").list_buckets()["Buckets"]}


def test_bundle_without_a_file_is_an_error(root: Path) -> None:
    output = build_project(root)
    (output / "public/robots.txt").unlink()
    with pytest.raises(UsageError, match=r"lacks `robots\.txt`"):
        run(output, "lacking")
