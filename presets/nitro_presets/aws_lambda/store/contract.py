"""What a store of connections and topics does, and what it keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

# `none`: the route has no open hook. `pending`: nobody has started it. `running`: until `open_lease`.
OpenState = Literal["none", "pending", "running", "done"]
# `pending`: the peer left before its row was written. `running`: until `close_lease`; after it the row goes.
CloseState = Literal["none", "pending", "running"]
# `claimed`: it is the caller's to run. `running`: somebody else's, until the lease. `done`: there is nothing to
# run. `gone`: the connection has ended, or is about to.
Outcome = Literal["claimed", "running", "done", "gone"]

Item = TypeVar("Item")


class ConnectionRow(NamedTuple):
    """What is kept about a connection.

    Args:
        id: The connection's id, as API Gateway gives it.
        route: The route's path in the manifest.
        url: The whole URL that was asked for.
        headers: The header fields that hooks may read.
        params: The path parameters.
        remote_address: The client's IP address.
        namespace: Where its topics live.
        protocol: The subprotocol that was accepted.
        context: What handlers keep about the peer, JSON-able.
        connected_at: When it connected, in seconds since the epoch.
        expires_at: When it cannot be alive any more, in seconds since the epoch.
        open_state: How far its open hook is.
        topics: What it is subscribed to.
        shard: The shard of each topic that its topic rows are in; the store sets it.
        open_lease: Until when the open hook is claimed.
        open_token: Names the claim on the open hook; `save` takes it.
        close_state: How far its close hook is.
        close_lease: Until when the close hook is claimed.
        close_token: Names the claim on the close hook.

    Example:
        >>> row = ConnectionRow("BFHPhfCWIA=", "/chat", "wss://a/chat", "/chat", connected_at=0, expires_at=7200)
        >>> row.opened, row.closing
        (True, False)
    """

    id: str
    route: str
    url: str
    namespace: str
    connected_at: float
    expires_at: int
    headers: tuple[tuple[str, str], ...] = ()
    params: Mapping[str, str] = MappingProxyType({})
    remote_address: str | None = None
    protocol: str | None = None
    context: Mapping[str, Any] = MappingProxyType({})
    open_state: OpenState = "none"
    topics: frozenset[str] = frozenset()
    shard: int = 0
    open_lease: float = 0.0
    open_token: str = ""
    close_state: CloseState = "none"
    close_lease: float = 0.0
    close_token: str = ""

    @property
    def opened(self) -> bool:
        """Whether the connection has got so far that its close hook is to run."""
        return self.open_state != "pending"

    @property
    def closing(self) -> bool:
        """Whether it has ended: messages are dropped, and nothing can be subscribed to or opened."""
        return self.close_state != "none"


class Claim(NamedTuple):
    """The answer to somebody who wants to run a hook.

    Args:
        outcome: Whether to run it.
        row: The connection as it stands after the claim; `None` where it is gone.
    """

    outcome: Outcome
    row: ConnectionRow | None


class Subscription(NamedTuple):
    """One connection's subscription to a topic.

    Args:
        id: The connection's id.
        connected_at: When it connected, in seconds since the epoch.
        pk: The partition that its topic row is in.
        sk: Where in the partition.
    """

    id: str
    connected_at: float
    pk: str
    sk: str


class Page(NamedTuple, Generic[Item]):
    """A part of a long list.

    Args:
        items: What is in this part; it may be empty though others follow.
        next: Where the next part starts, JSON-able text; `None` after the last.
    """

    items: tuple[Item, ...]
    next: str | None


class TableClient(Protocol):
    """Calls DynamoDB about one table."""

    @property
    def table(self) -> str:
        """The table's name."""

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Make a call.

        MUST fill in `TableName` where the operation is about one table, MUST raise `ConditionFailedError` where
        a condition is not met, and MUST try again what is throttled or in conflict with a transaction. MAY repeat
        a call whose answer was lost.
        """


class ConnectionStore(Protocol):
    """Keeps connections and topics. Every method MUST be safe to run concurrently from many processes."""

    @property
    def shards(self) -> int:
        """How many shards each topic is spread over, numbered from 0."""

    async def put_connection(self, row: ConnectionRow) -> bool:
        """Keep a new connection; MUST be one write where its end has not been told yet.

        Returns:
            False when the peer has left already: the caller then goes on as at the end of a connection, with
            `claim_close`.
        """

    async def get_connection(self, id: str) -> ConnectionRow | None:
        """Read a connection, one that is `closing` too; MUST be one read and see every write before it."""

    async def claim_open(self, id: str, lease: float) -> Claim:
        """Claim the open hook; MUST give it to one caller only for as long as the lease lasts.

        It is given again where the lease has passed and nobody said by `save` that the hook is done.

        Args:
            id: The connection's id.
            lease: How long the hook may take, in seconds.
        """

    async def save(
        self, id: str, changed: Mapping[str, object], removed: Collection[str] = (), *, open_token: str = ""
    ) -> bool:
        """Write changed keys of the context, the last write of each key wins; MUST NOT call where there is none.

        Args:
            id: The connection's id.
            changed: The new values, JSON-able.
            removed: The keys that are no more.
            open_token: Of the claim under which the open hook is now done; it MUST be ignored where the hook has
                been claimed by somebody else since.

        Returns:
            False when the connection is gone; a connection that is `closing` is not.

        Raises:
            TypeError: JSON cannot hold a value.
        """

    async def subscribe(self, row: ConnectionRow, topic: str) -> bool:
        """Add a connection to a topic; MUST leave nothing behind where it has ended, MUST be at most two writes.

        Returns:
            False when the connection has ended.
        """

    async def unsubscribe(self, row: ConnectionRow, topic: str) -> None:
        """Take a connection out of a topic; MUST be at most two writes."""

    async def claim_close(self, id: str, lease: float, *, disconnected: bool = False) -> Claim:
        """Claim the end of a connection; MUST give it to one caller only for as long as the lease lasts.

        From then on the connection is `closing`: its open hook cannot be claimed any more. The caller calls
        `delete_topics`, runs the close hook if the row is `opened`, and calls `delete_connection`. Where it does
        not get that far, `expired` lists the connection after the lease.

        Args:
            id: The connection's id.
            lease: How long all that may take, in seconds.
            disconnected: Whether the platform says that the peer has left, which may be before its row is
                written; `put_connection` MUST then find out.
        """

    async def delete_topics(self, row: ConnectionRow) -> None:
        """Take a connection out of all its topics, before its close hook runs."""

    async def delete_connection(self, row: ConnectionRow) -> None:
        """Forget a connection, after its close hook has run; MUST be one write."""

    async def subscribers(
        self, topic: str, shard: int, *, namespace: str | None = None, start: str | None = None, limit: int = 1000
    ) -> Page[Subscription]:
        """List subscribers by namespace and id; MUST be one query, and MUST see every write before it.

        Args:
            topic: The topic's name.
            shard: One of the topic's shards.
            namespace: Only the subscribers there; `None` lists all.
            start: What the page before gave as `next`.
            limit: How many there are in a page at most.
        """

    async def forget(self, subscribers: Collection[Subscription]) -> None:
        """Drop subscriptions whose peers were found dead."""

    async def connections(self, namespace: str | None = None, *, start: str | None = None) -> Page[ConnectionRow]:
        """List the connected peers; one that came or went a moment ago may be wrongly left out or in.

        Args:
            namespace: Only those there; `None` lists all.
            start: What the page before gave as `next`.
        """

    async def expired(self, *, start: str | None = None, limit: int = 100) -> Page[str]:
        """List the ids of connections that cannot be alive, or whose end was claimed and not reached in time.

        Args:
            start: What the page before gave as `next`.
            limit: How many there are in a page at most.
        """
