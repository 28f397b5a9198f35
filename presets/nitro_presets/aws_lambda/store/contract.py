"""The contract of a store of connections and topics, and the data that it keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

# `none`: the route has no open hook. `pending`: it is not claimed. `running`: claimed until `open_lease`.
OpenState = Literal["none", "pending", "running", "done"]
# `pending`: the peer left before its row was written. `running`: claimed until `close_lease`; then the row goes.
CloseState = Literal["none", "pending", "running"]
# `claimed`: the caller is to run it. `running`: another caller runs it, until its lease passes. `done`: there is
# nothing to run. `gone`: the connection has ended, or is about to.
Outcome = Literal["claimed", "running", "done", "gone"]

Item = TypeVar("Item")


class ConnectionRow(NamedTuple):
    """A connection, as it is stored.

    Args:
        id: The connection id of API Gateway.
        route: The route's path in the manifest.
        url: The whole URL of the handshake.
        headers: The header fields that hooks may read.
        params: The path parameters.
        remote_address: The client's IP address.
        namespace: The namespace of its topics.
        protocol: The subprotocol that was accepted.
        context: The peer's context, JSON-able.
        connected_at: When it connected, in seconds since the epoch.
        expires_at: When it cannot be alive any more, in seconds since the epoch.
        open_state: The state of its open hook.
        topics: The topics that it is subscribed to.
        shard: The shard of each topic that its topic rows are in; the store sets it.
        open_lease: When the claim on the open hook ends, in seconds since the epoch.
        open_token: The id of the claim on the open hook, for `save`.
        close_state: The state of its close hook.
        close_lease: When the claim on the close hook ends, in seconds since the epoch.
        close_token: The id of the claim on the close hook.

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
        """Whether its close hook is to run: its open hook was claimed, or there is none."""
        return self.open_state != "pending"

    @property
    def closing(self) -> bool:
        """Whether it has ended: messages are dropped, and nothing can be subscribed to or opened."""
        return self.close_state != "none"


class Claim(NamedTuple):
    """The result of an attempt to be the only one that runs a hook.

    Args:
        outcome: Whether the caller is to run it.
        row: The connection after the claim; `None` if it is gone.
    """

    outcome: Outcome
    row: ConnectionRow | None


class Subscription(NamedTuple):
    """One connection's subscription to a topic.

    Args:
        id: The connection's id.
        connected_at: When it connected, in seconds since the epoch.
        pk: The partition key of its topic row.
        sk: The sort key of its topic row.
    """

    id: str
    connected_at: float
    pk: str
    sk: str


class Page(NamedTuple, Generic[Item]):
    """A page of a list.

    Args:
        items: The items; a page may be empty though others follow.
        next: The start of the next page, as text; `None` after the last.
    """

    items: tuple[Item, ...]
    next: str | None


class Round(NamedTuple):
    """How far the sweep has come in its round of all connections.

    Args:
        start: Where it goes on: the `next` of the last page; `None` at the beginning.
        began: When the round began, in seconds since the epoch; 0 if none is under way.
    """

    start: str | None = None
    began: float = 0.0


class TableClient(Protocol):
    """A client of DynamoDB for one table."""

    @property
    def table(self) -> str:
        """The table's name."""

    async def call(self, operation: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Make a call.

        MUST set `TableName` if the operation is about one table, MUST raise `ConditionFailedError` if a condition
        is not met, and MUST retry a call that is throttled or in conflict with a transaction. MAY repeat a call
        whose answer was lost.
        """


class ConnectionStore(Protocol):
    """A store of connections and topics. Every method MUST be safe to run concurrently from many processes."""

    @property
    def shards(self) -> int:
        """How many shards each topic is spread over, numbered from 0."""

    async def put_connection(self, row: ConnectionRow) -> bool:
        """Store a new connection; MUST be one write unless its `$disconnect` has come already.

        Returns:
            False if the peer has left already. The caller then ends the connection, beginning with `claim_close`.
        """

    async def get_connection(self, id: str) -> ConnectionRow | None:
        """Read a connection, also one that is `closing`; MUST be one read and see every write before it."""

    async def take_message(self, id: str, number: int) -> Claim:
        """Claim a message of a queue for its hook; MUST give it to one caller ever, and MUST be one call.

        Args:
            id: The connection's id.
            number: The message's number in the queue, which grows from message to message of a connection.

        Returns:
            `claimed` with the connection, also one that is `closing`; `done` if this message or a later one was
            taken before; `gone`.
        """

    async def claim_open(self, id: str, lease: float) -> Claim:
        """Claim the open hook; MUST give it to one caller only for as long as the lease lasts.

        It is given again if the lease has passed and `save` was not called with the token of the claim.

        Args:
            id: The connection's id.
            lease: How long the hook may take, in seconds.
        """

    async def save(
        self, id: str, changed: Mapping[str, object], removed: Collection[str] = (), *, open_token: str = ""
    ) -> bool:
        """Write changed keys of the context; the last write of each key wins. MUST call nothing if there are none.

        Args:
            id: The connection's id.
            changed: The new values, JSON-able.
            removed: The keys that were deleted.
            open_token: The token of the claim under which the open hook is now done. It MUST be ignored if the
                hook has been claimed again since.

        Returns:
            False if the connection is gone; one that is `closing` is not.

        Raises:
            TypeError: A value is not JSON-able.
        """

    async def subscribe(self, row: ConnectionRow, topic: str) -> bool:
        """Add a connection to a topic; MUST store nothing if it has ended, and MUST be at most two writes.

        Returns:
            False if the connection has ended.
        """

    async def unsubscribe(self, row: ConnectionRow, topic: str) -> None:
        """Remove a connection from a topic; MUST be at most two writes."""

    async def claim_close(self, id: str, lease: float, *, disconnected: bool = False) -> Claim:
        """Claim the end of a connection; MUST give it to one caller only for as long as the lease lasts.

        From then on the connection is `closing`: its open hook cannot be claimed any more. The caller calls
        `delete_topics`, runs the close hook if the row is `opened`, and calls `delete_connection`. If it dies
        before that, `expired` lists the connection after the lease.

        Args:
            id: The connection's id.
            lease: How long all that may take, in seconds.
            disconnected: Whether `$disconnect` has come, which may be before the row is written;
                `put_connection` MUST then return false.
        """

    async def delete_topics(self, row: ConnectionRow) -> None:
        """Remove a connection from all its topics, before its close hook runs."""

    async def delete_connection(self, row: ConnectionRow) -> None:
        """Delete a connection, after its close hook has run; MUST be one write."""

    async def subscribers(
        self, topic: str, shard: int, *, namespace: str | None = None, start: str | None = None, limit: int = 1000
    ) -> Page[Subscription]:
        """List subscribers by namespace and id; MUST be one query, and MUST see every write before it.

        Args:
            topic: The topic's name.
            shard: One of the topic's shards.
            namespace: Only subscribers of this namespace; `None` lists all.
            start: The `next` of the page before.
            limit: The most items of a page.
        """

    async def delete_subscriptions(self, subscribers: Collection[Subscription]) -> None:
        """Delete subscriptions whose peers were found dead."""

    async def connections(self, namespace: str | None = None, *, start: str | None = None) -> Page[ConnectionRow]:
        """List the connected peers; MAY be wrong about one that has just connected or left.

        Args:
            namespace: Only peers of this namespace; `None` lists all.
            start: The `next` of the page before.
        """

    async def expired(self, *, start: str | None = None, limit: int = 100) -> Page[str]:
        """List the ids of connections that cannot be alive, or whose claim on the end has passed.

        Args:
            start: The `next` of the page before.
            limit: The most items of a page.
        """

    async def read_round(self) -> Round:
        """Read how far the sweep has come."""

    async def save_round(self, reached: Round) -> None:
        """Write how far the sweep has come."""
