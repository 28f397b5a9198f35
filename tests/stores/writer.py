"""A process that counts and writes by version, and notes when: `python -m tests.stores.writer NAME URL CALLS`."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from nitro_py.errors import StorageError
from nitro_py.runtime.settings import Settings, StoragePlace, StorageSettings
from nitro_py.storages import open_storage

# A preset hands it on with the settings that ship.
FACTORIES = {"dynamodb": "nitro_presets.aws_lambda.store.storage:DynamoStorageDriver"}


def note(**fields: object) -> None:
    """Write a line at once: this process may be killed."""
    print(json.dumps(fields), flush=True)


async def main(driver: str, url: str, calls: int) -> None:
    """Make calls, one after the other."""
    place = StorageSettings(named={"test": StoragePlace(driver, url)}, factories=FACTORIES)
    storage = open_storage("test", Settings(storage=place))
    for number in range(calls):
        note(call=number, kind="count", start=time.monotonic())
        try:
            note(call=number, sum=await storage.increment("count"), at=time.monotonic())
        except StorageError as error:
            note(call=number, error=str(error))
        try:
            entry = await storage.get_entry("register")
            before = entry.version if entry else None
            note(call=number, kind="write", start=time.monotonic(), before=before)
            version = await storage.set("register", number, if_version=before, if_absent=before is None)
            note(call=number, before=before, version=version, at=time.monotonic())
        except StorageError as error:
            note(call=number, error=str(error))
    note(done=True)
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
