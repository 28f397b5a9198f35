"""The upload of the public files to the stack's bucket, and the end of those that a new version has no more."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nitro_presets.aws_lambda.deploy.public_bucket import UPLOADS, PublicBucket
from nitro_presets.aws_lambda.deploy.stack import Change
from nitro_py.errors import NitroError, UsageError
from nitro_py.runtime.asgi.validated_files import is_hashed
from nitro_py.runtime.manifest import INFO_NAME

# Files whose name carries a hash are kept for as long after the deployment that has them no more: pages of an
# older version, which are open or in a cache, may still ask for them.
KEPT_DAYS = 30
# Where the bucket notes since when: CloudFront never asks for a path below `/_nitro/`.
REPLACED = "_nitro/replaced.json"
# Uploads at a time.
_PARALLEL = 8
# What S3 deletes in one call.
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What a deployment changes in the bucket.

    Args:
        uploads: The keys that are new or have another content; those that others refer to come first.
        removals: The keys that the version has no more, and that are deleted after it is deployed.
        replaced: The keys that it has no more, but which are kept → since when.
    """

    uploads: tuple[str, ...] = ()
    removals: tuple[str, ...] = ()
    replaced: Mapping[str, datetime] | None = None

    @property
    def rows(self) -> tuple[Change, ...]:
        """The changes, as they are shown."""
        counts = (("Upload", self.uploads), ("Remove", self.removals))
        return tuple(Change(action, f"{len(keys)} in `public/`", "file") for action, keys in counts if keys)


@dataclass(frozen=True, slots=True)
class PublicUploads:
    """The public files of a bundle, and the bucket that they go to.

    Args:
        client: boto3's client of S3.
        folder: Where the files are.
        bucket: What goes into the bucket.
        account: The account that must own it.
    """

    client: Any
    folder: Path
    bucket: PublicBucket
    account: str

    def plan(self, name: str | None) -> UploadPlan:
        """Compare a bucket with the files; without a name there is none yet."""
        objects = self.bucket.objects
        stored = {} if name is None else self._list(name)
        uploads = [key for key, found in objects.items() if stored.get(key) != found.hash]
        # A page comes after what it refers to.
        ordered = sorted(uploads, key=lambda key: (not is_hashed(f"/{key}"), key.endswith(".html"), key))
        gone = stored.keys() - objects.keys() - {REPLACED}
        noted = self._read_replaced(name) if name is not None and REPLACED in stored else {}
        now = datetime.now(UTC)
        replaced = {key: noted.get(key, now) for key in sorted(gone) if is_hashed(f"/{key}")}
        kept = {key: since for key, since in replaced.items() if now - since < timedelta(days=KEPT_DAYS)}
        return UploadPlan(tuple(ordered), tuple(sorted(gone - kept.keys())), kept if kept != noted else None)

    def upload(self, name: str, plan: UploadPlan) -> None:
        """Upload what is new, before the functions that go with it."""

        def put(key: str) -> None:
            found = self.bucket.objects[key]
            self.client.put_object(
                Bucket=name,
                Key=key,
                Body=(self.folder / key).read_bytes(),
                ContentType=found.kind,
                CacheControl=found.cache,
                ExpectedBucketOwner=self.account,
            )

        pages = [key for key in plan.uploads if key.endswith(".html")]
        for keys in (plan.uploads[: len(plan.uploads) - len(pages)], pages):
            with ThreadPoolExecutor(_PARALLEL) as pool:
                for _ in pool.map(put, keys):
                    pass

    def tidy(self, name: str, plan: UploadPlan) -> None:
        """Delete what the version has no more, and note what is kept for now, once it is deployed."""
        delete_objects(self.client, name, plan.removals, self.account)
        if plan.replaced is not None:
            noted = {key: since.isoformat() for key, since in plan.replaced.items()}
            self.client.put_object(
                Bucket=name,
                Key=REPLACED,
                Body=json.dumps(noted, indent=2).encode(),
                ContentType="application/json",
                ExpectedBucketOwner=self.account,
            )

    def _list(self, name: str) -> dict[str, str]:
        return dict(list_objects(self.client, name, self.account))

    def _read_replaced(self, name: str) -> dict[str, datetime]:
        body = self.client.get_object(Bucket=name, Key=REPLACED, ExpectedBucketOwner=self.account)["Body"].read()
        return {key: datetime.fromisoformat(since) for key, since in json.loads(body).items()}


def read_uploads(output: Path, client: Any, account: str) -> PublicUploads | None:
    """Read which files of a bundle go into a bucket; `None` if the functions serve them.

    Raises:
        UsageError: The bundle is broken.
    """
    try:
        info = json.loads((output / INFO_NAME).read_bytes())
        if "public" not in info:
            return None
        bucket = PublicBucket.from_json(info["public"])
        missing = [key for key in bucket.objects if not (output / UPLOADS / key).is_file()]
    except FileNotFoundError:
        # Written by hand: it has a template, and no description.
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"`{output / INFO_NAME}` is broken: {type(error).__name__}: {error}.",
            hint="Run `nitropy build --preset aws-lambda` again.",
        ) from error
    if missing:
        raise UsageError(
            f"`{output / UPLOADS}` lacks `{missing[0]}`.", hint="Run `nitropy build --preset aws-lambda` again."
        )
    return PublicUploads(client, output / UPLOADS, bucket, account)


def list_objects(client: Any, name: str, account: str) -> Iterator[tuple[str, str]]:
    """List the objects of a bucket: their keys and ETags."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=name, ExpectedBucketOwner=account)
    for page in pages:
        for row in page.get("Contents", ()):
            yield row["Key"], row["ETag"].strip('"')


def delete_objects(client: Any, name: str, keys: Sequence[str], account: str) -> None:
    """Delete objects of a bucket.

    Raises:
        NitroError: S3 keeps one.
    """
    for start in range(0, len(keys), _BATCH):
        wanted = {"Objects": [{"Key": key} for key in keys[start : start + _BATCH]], "Quiet": True}
        answer = client.delete_objects(Bucket=name, Delete=wanted, ExpectedBucketOwner=account)
        for error in answer.get("Errors", ()):
            raise NitroError(f"S3 does not delete `{error['Key']}`: {error['Code']}: {error['Message']}")


def delete_bucket(client: Any, name: str, account: str) -> None:
    """Delete a bucket with all that is in it; CloudFormation has done it already if it was empty."""
    with suppress(client.exceptions.NoSuchBucket):
        delete_objects(client, name, [key for key, _ in list_objects(client, name, account)], account)
        client.delete_bucket(Bucket=name, ExpectedBucketOwner=account)
