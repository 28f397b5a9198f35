"""The packages of functions in S3, where CloudFormation fetches them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from nitro_py.errors import UsageError

# What follows the stack's name in a package's key.
_PACKAGE = re.compile(r"[0-9a-f]{64}\.zip")


@dataclass(frozen=True, slots=True)
class PackageBucket:
    """A bucket for packages.

    Args:
        client: boto3's client of S3.
        bucket: The bucket's name.
        account: The account that must own it, because another account may have made a bucket with this name.
    """

    client: Any
    bucket: str
    account: str

    def upload(self, key: str, package: bytes, *, create: bool) -> None:
        """Upload a package.

        Args:
            key: The key, with a hash of the package.
            package: The package.
            create: Whether to create the bucket if there is none.

        Raises:
            UsageError: There is no such bucket, or another account owns it.
        """
        if not self.is_there():
            if not create:
                raise UsageError(
                    f"There is no bucket `{self.bucket}`.", hint="Create it, or leave `--bucket` out."
                )
            region = self.client.meta.region_name
            # S3 accepts no location constraint for this region.
            place = {} if region == "us-east-1" else {"LocationConstraint": region}
            self.client.create_bucket(
                Bucket=self.bucket, **({"CreateBucketConfiguration": place} if place else {})
            )
        self.client.put_object(Bucket=self.bucket, Key=key, Body=package, ExpectedBucketOwner=self.account)

    def is_there(self) -> bool:
        """Return whether there is such a bucket.

        Raises:
            UsageError: Another account owns it, or it is in another region.
        """
        from botocore.exceptions import ClientError  # type: ignore[import-untyped]

        try:
            self.client.head_bucket(Bucket=self.bucket, ExpectedBucketOwner=self.account)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == HTTPStatus.NOT_FOUND:
                return False
            if status in (HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FORBIDDEN):
                raise UsageError(
                    f"The bucket `{self.bucket}` is in another region, or not this account's to use.",
                    hint="Pass `--bucket` with one of this account and region.",
                ) from error
            raise
        return True

    def list_packages(self, stack: str) -> list[str]:
        """List the keys of a stack's packages, the newest first."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{stack}/", ExpectedBucketOwner=self.account
        )
        found = [row for page in pages for row in page.get("Contents", ())]
        # Somebody may keep other things in a bucket of their own.
        named = [row for row in found if _PACKAGE.fullmatch(row["Key"].removeprefix(f"{stack}/"))]
        return [row["Key"] for row in sorted(named, key=_find_age, reverse=True)]

    def delete(self, keys: Sequence[str]) -> None:
        """Delete packages."""
        for key in keys:
            self.client.delete_object(Bucket=self.bucket, Key=key, ExpectedBucketOwner=self.account)


def find_bucket(session: Any, name: str | None, account: str) -> PackageBucket:
    """Return the bucket for packages: the one with a name, or that of the account and region."""
    client = session.client("s3")
    return PackageBucket(client, name or f"nitro-{account}-{client.meta.region_name}", account)


def find_account(session: Any) -> str:
    """Return the account's number."""
    return str(session.client("sts").get_caller_identity()["Account"])


def name_package(stack: str, package: bytes) -> str:
    """Return the key of a package, which tells its content."""
    return f"{stack}/{hashlib.sha256(package).hexdigest()}.zip"


def _find_age(row: dict[str, Any]) -> datetime:
    when: datetime = row["LastModified"]
    return when
