"""The tables of a project, which the preview makes in its local DynamoDB."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nitro_presets.aws_lambda.aws_client.credentials import CredentialSource
from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from nitro_presets.aws_lambda.gateway.permissions import read_resources

logger = logging.getLogger("nitro_py.aws.gateway")

# The logical id of the stack's own table.
STACK_TABLE = "Table"
_KIND = "AWS::DynamoDB::Table"
# What `CreateTable` takes of a resource's properties. Throughput, encryption and backups make no difference here.
_SHAPE = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes")


@dataclass(frozen=True, slots=True)
class OwnTable:
    """A table that the project adds to the stack.

    Args:
        id: The logical id in the template.
        name: What the table is called on this machine.
        definition: The parameters of `CreateTable` without the table's name.
        ttl: The attribute by which items expire, if there is one.
    """

    id: str
    name: str
    definition: Mapping[str, Any]
    ttl: str | None = None


def read_tables(template: Path) -> tuple[OwnTable, ...]:
    """Read the tables that a project adds to its template.

    Args:
        template: The template beside the bundle.

    Raises:
        UsageError: There is no template.
        NitroError: It is broken.
    """
    return tuple(_list_tables(read_resources(template)))


async def make_tables(tables: Sequence[OwnTable], url: str, region: str, credentials: CredentialSource) -> None:
    """Create tables, which are empty.

    Args:
        tables: The tables.
        url: The URL of the database.
        region: The region for the signature.
        credentials: The credentials for the signature.

    Raises:
        ServiceError: The database refuses one.
    """
    for table in tables:
        client = DynamoClient(table.name, region=region, endpoint=url, credentials=credentials)
        try:
            await client.call("CreateTable", dict(table.definition))
            if table.ttl is not None:
                specification = {"AttributeName": table.ttl, "Enabled": True}
                await client.call("UpdateTimeToLive", {"TimeToLiveSpecification": specification})
        finally:
            await client.close()


def _list_tables(resources: Mapping[str, Any]) -> Iterator[OwnTable]:
    for id, resource in resources.items():
        if resource.get("Type") != _KIND or id == STACK_TABLE:
            continue
        properties = resource.get("Properties", {})
        definition = {key: properties[key] for key in _SHAPE if key in properties}
        name = properties.get("TableName", f"{id}-{secrets.token_hex(4)}")
        if not isinstance(name, str) or _is_computed(definition):
            logger.warning("[tables] `%s` is not made: CloudFormation computes its name or its keys.", id)
            continue
        for index in definition.get("GlobalSecondaryIndexes", ()):
            index.pop("ProvisionedThroughput", None)
        expiry = properties.get("TimeToLiveSpecification", {})
        ttl = expiry.get("AttributeName") if expiry.get("Enabled") is True else None
        yield OwnTable(id, name, {**definition, "BillingMode": "PAY_PER_REQUEST"}, ttl)


def _is_computed(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_is_computed, node))
    if isinstance(node, dict):
        return any(key == "Ref" or key.startswith("Fn::") for key in node) or any(map(_is_computed, node.values()))
    return False
