"""The table of storages, as `nitropy storage` reaches it from outside of the functions."""

from __future__ import annotations

import asyncio

from nitro_presets.aws_lambda import stack_variables
from nitro_presets.aws_lambda.aws_client.dynamodb import DynamoClient
from nitro_presets.aws_lambda.aws_client.errors import ServiceError, TransportError
from nitro_presets.aws_lambda.deploy.stack import explain_errors, require_stack
from nitro_py.errors import UsageError

OUTPUT = "TableName"


def find_deployed_table(stack_name: str, *, region: str | None = None) -> dict[str, str]:
    """Return the variables by which the storage driver finds the table of a stack.

    Args:
        stack_name: The stack.
        region: The region; by default boto3's own.

    Raises:
        UsageError: There is no such stack, it has no table, or there are no credentials or region.
        NitroError: AWS refuses a call.
    """
    import boto3  # type: ignore[import-untyped]

    with explain_errors():
        session = boto3.Session(region_name=region or None)
        stack = require_stack(session.client("cloudformation"), stack_name)
        table = dict(stack.outputs).get(OUTPUT)
        if table is None:
            raise UsageError(
                f"The stack `{stack_name}` has no table for storages.",
                hint="Deploy an app with `from nitro_py import storage` in one of its files.",
            )
        endpoint = session.client("dynamodb").meta
        credentials = session.get_credentials().get_frozen_credentials()
    return {
        stack_variables.TABLE: table,
        "AWS_REGION": endpoint.region_name,
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint.endpoint_url,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.token or "",
    }


def find_local_table(url: str) -> dict[str, str]:
    """Return the variables by which the storage driver finds the table of a running preview.

    Args:
        url: The URL of its gateway.

    Raises:
        UsageError: The preview cannot be reached, or has no table.
    """
    # Imported here: what is deployed needs none of the gateway's packages.
    from nitro_presets.aws_lambda.gateway.environment import CREDENTIALS, REGION
    from nitro_presets.aws_lambda.gateway.gateway import FixedCredentials
    from nitro_presets.aws_lambda.gateway.router import DYNAMODB_PATHS

    endpoint = f"{url}{DYNAMODB_PATHS[0]}"

    async def list_tables() -> list[str]:
        client = DynamoClient("", region=REGION, endpoint=endpoint, credentials=FixedCredentials())
        try:
            names: list[str] = (await client.call("ListTables", {}))["TableNames"]
        finally:
            await client.close()
        return names

    try:
        tables = asyncio.run(list_tables())
    except (ServiceError, TransportError) as error:
        raise UsageError(
            f"The preview at {url} has no table for storages that can be reached: {error}",
            hint="Start `nitropy preview` again, with an app that uses storages.",
        ) from None
    return {
        stack_variables.TABLE: tables[0],
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
        "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key,
        "AWS_SESSION_TOKEN": CREDENTIALS.token or "",
    }
