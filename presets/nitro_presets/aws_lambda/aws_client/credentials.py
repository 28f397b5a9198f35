"""Credentials of a function, from its environment variables or the container endpoint."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from nitro_presets.aws_lambda.aws_client.errors import CredentialError, TransportError
from nitro_presets.aws_lambda.aws_client.http import ConnectionPool

logger = logging.getLogger("nitro_py.aws")

CONTAINER_ORIGIN = "http://169.254.170.2"
# Hosts that may be sent the container's token without TLS, beside loopback addresses.
CONTAINER_HOSTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost"})
# How long before they expire credentials are renewed, and the pause after an attempt, in seconds.
REFRESH_BEFORE = 300.0
REFRESH_PAUSE = 30.0
FETCH_ATTEMPTS = 3
FETCH_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """AWS credentials, which requests are signed with.

    Args:
        access_key: The access key id.
        secret_key: The secret access key.
        token: The session token of temporary credentials.
        expires_at: When they expire, in seconds since the epoch; `None` for never.

    Example:
        >>> Credentials("AKID", "secret")
        Credentials(access_key='AKID', expires_at=None)
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


class CredentialSource(Protocol):
    """A source of credentials."""

    async def get(self) -> Credentials:
        """Return credentials that have not expired.

        MUST return the same object until they change, and MUST be cheap to call.
        """


class EnvironmentSource:
    """The credentials that Lambda provides: in environment variables, or with SnapStart by the container endpoint.

    Nothing is read before the first call, so that a snapshot holds no credentials.

    Args:
        environ: The environment.

    Example:
        >>> environ = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
        >>> asyncio.run(EnvironmentSource(environ).get()).access_key
        'AKID'
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._current: Credentials | None = None
        self._next_attempt = 0.0
        self._refresh: asyncio.Task[Credentials] | None = None

    async def get(self) -> Credentials:
        """Return the credentials, renewed if they are about to expire.

        Raises:
            CredentialError: There are none, or they have expired and could not be renewed.
        """
        current = self._current
        if current is not None:
            if current.expires_at is None:
                return current
            now = time.time()
            if now < current.expires_at - REFRESH_BEFORE:
                return current
            if now < self._next_attempt and now < current.expires_at:
                return current
        if self._refresh is None or self._refresh.get_loop() is not asyncio.get_running_loop():
            self._refresh = asyncio.create_task(self._renew())
            self._refresh.add_done_callback(self._forget)
        # Shielded, as other tasks may wait for the same result.
        return await asyncio.shield(self._refresh)

    def _forget(self, task: asyncio.Task[Credentials]) -> None:
        if self._refresh is task:
            self._refresh = None
        if not task.cancelled():
            task.exception()

    async def _renew(self) -> Credentials:
        self._next_attempt = time.time() + REFRESH_PAUSE
        try:
            self._current = read_credentials(self._environ) or await fetch_credentials(self._environ)
        except CredentialError as error:
            current = self._current
            if current is None or current.expires_at is None or current.expires_at <= time.time():
                raise
            logger.warning("The credentials were not renewed, and are used until they expire: %s", error)
            return current
        return self._current


def read_credentials(environ: Mapping[str, str]) -> Credentials | None:
    """Read `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; `None` if they are not set."""
    access_key = environ.get("AWS_ACCESS_KEY_ID")
    secret_key = environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        return None
    return Credentials(access_key, secret_key, environ.get("AWS_SESSION_TOKEN") or None)


async def fetch_credentials(environ: Mapping[str, str]) -> Credentials:
    """Fetch credentials from the container endpoint.

    Follows "Container credential provider" in the AWS SDKs and Tools Reference Guide.

    Args:
        environ: The environment, with `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` or
            `AWS_CONTAINER_CREDENTIALS_FULL_URI`, and `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` or
            `AWS_CONTAINER_AUTHORIZATION_TOKEN`.

    Returns:
        Temporary credentials.

    Raises:
        CredentialError: No URL is set, or the endpoint does not return credentials.
    """
    url = find_credentials_endpoint(environ)
    headers = {"accept": "application/json"}
    file = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    try:
        # Read each time, because Lambda rotates it.
        token = (await asyncio.to_thread(Path(file).read_text, "utf-8")) if file else None
    except OSError as error:
        raise CredentialError(f"The token file of the container endpoint cannot be read: {error}.") from error
    token = token or environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if token:
        headers["authorization"] = token
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    pool = ConnectionPool(url, connections=1, connect_timeout=FETCH_TIMEOUT, timeout=FETCH_TIMEOUT)
    try:
        return await _fetch(pool, target, headers)
    except ValueError as error:
        raise CredentialError(f"The container endpoint cannot be called: {error}") from error
    finally:
        await pool.close()


def find_credentials_endpoint(environ: Mapping[str, str]) -> str:
    """Return the URL of the container endpoint.

    Raises:
        CredentialError: There is none, or it is on another host without TLS.
    """
    relative = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    if relative:
        return CONTAINER_ORIGIN + relative
    url = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not url:
        raise CredentialError(
            "No credentials: neither `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` nor "
            "`AWS_CONTAINER_CREDENTIALS_FULL_URI` is set."
        )
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_local(parts.hostname or ""):
        expected = ", ".join(f"`{host}`" for host in sorted(CONTAINER_HOSTS))
        raise CredentialError(
            f"`AWS_CONTAINER_CREDENTIALS_FULL_URI` names `{parts.hostname}`: expected `https`, a loopback "
            f"address, or one of {expected}."
        )
    return url


def _is_local(host: str) -> bool:
    # Benchmark rows `lambda-cold-*`: only a function with SnapStart needs the module.
    from ipaddress import ip_address

    try:
        return host in CONTAINER_HOSTS or ip_address(host).is_loopback
    except ValueError:
        return False


async def _fetch(pool: ConnectionPool, target: str, headers: Mapping[str, str]) -> Credentials:
    reason = ""
    for attempt in range(FETCH_ATTEMPTS):
        if attempt:
            await asyncio.sleep(0.1 * 2**attempt)
        try:
            response = await pool.request("GET", target, headers, b"")
        except TransportError as error:
            reason = error.message
            continue
        if response.status == 200:
            return _read_answer(response.body)
        reason = f"It answered {response.status}."
        if response.status < 500 and response.status != 429:
            break
    raise CredentialError(f"The container endpoint returns no credentials. {reason}")


def _read_answer(body: bytes) -> Credentials:
    from datetime import datetime

    try:
        answer = json.loads(body)
        return Credentials(
            access_key=answer["AccessKeyId"],
            secret_key=answer["SecretAccessKey"],
            token=answer["Token"],
            expires_at=datetime.fromisoformat(answer["Expiration"]).timestamp(),
        )
    except (KeyError, TypeError, ValueError) as error:
        # Without the answer in the message: it may hold half a secret.
        raise CredentialError(f"The container endpoint's answer holds no credentials: {error!r}.") from None
