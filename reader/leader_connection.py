"""Where a follower asks: the connection to a partition's leader, and the Fetch that it sends there.

It asks as a replica does (KIP-392 then never sends it elsewhere), by topic id, at the leader epoch that it follows: a
node that leads at another epoch refuses. Each partition has a connection of its own, as the answers of one connection
leave in order and a long poll would hold up the others.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infra.errors import Unavailable
from infra.limits import WireLimits
from infra.partition import Lease
from infra.security.client_security import ClientSecurity
from infra.view.port import LiveSession
from infra.wire.buffer_pool import BufferPool
from infra.wire.client_connection import Address, ClientConnection, ClientOptions, open_connection
from infra.wire.messages import fetch as message

POLL_SECONDS = 5.0  # how long a leader may wait for news
_ANSWER_SECONDS = 5.0  # and how much longer its answer may take: a leader that hangs is left
FETCH_BYTES = 4 << 20
_POOL_BYTES_BESIDE_TAILS = 64 << 20


@dataclass(frozen=True, slots=True)
class Answered:
    """What a leader answered for one partition; `records` are whole batches."""

    error: int
    high_watermark: int
    last_stable_offset: int
    log_start_offset: int
    records: memoryview


class LeaderConnection:
    """To one leader, for one partition."""

    def __init__(self, connection: ClientConnection, lease: Lease, node_id: int) -> None:
        self._connection = connection
        self._lease = lease
        self._node_id = node_id

    async def fetch(self, offset: int, *, wait: bool) -> Answered:
        """What lies at `offset` and above; with `wait` it may take POLL_SECONDS. Raises `Unavailable`."""
        patience = (POLL_SECONDS if wait else 0.0) + _ANSWER_SECONDS
        try:
            async with asyncio.timeout(patience):
                response: message.FetchResponse = await self._connection.call(self._request(offset, wait))
        except TimeoutError:
            raise Unavailable(f"{self._connection.address} did not answer a Fetch in {patience:g} s") from None
        partitions = [data for topic in response.responses for data in topic.partitions]
        if len(partitions) != 1:
            raise Unavailable(f"{self._connection.address} answered a Fetch with error {response.error_code}")
        [data] = partitions
        records = data.records if isinstance(data.records, memoryview) else memoryview(b"")
        return Answered(data.error_code, data.high_watermark, data.last_stable_offset, data.log_start_offset, records)

    def close(self) -> None:
        """At once."""
        self._connection.close()

    def _request(self, offset: int, wait: bool) -> message.FetchRequest:
        partition, leader_epoch = self._lease.partition, self._lease.leader_epoch
        wanted = message.FetchPartition(
            partition=partition.partition,
            current_leader_epoch=leader_epoch,
            fetch_offset=offset,
            partition_max_bytes=FETCH_BYTES,
        )
        return message.FetchRequest(
            replica_id=self._node_id,
            replica_state=message.ReplicaState(replica_id=self._node_id),
            max_wait_ms=round(POLL_SECONDS * 1000) if wait else 0,
            min_bytes=1,
            max_bytes=FETCH_BYTES,
            topics=[message.FetchTopic(topic_id=partition.topic_id, partitions=[wanted])],
        )


class LeaderConnections:
    """Opens them: knows how this node reaches others."""

    def __init__(
        self,
        nodes: Callable[[], Sequence[LiveSession]],
        listener: str,
        node_id: Callable[[], int],
        *,
        tail_bytes: int,
        security: ClientSecurity | None = None,
    ) -> None:
        """`listener`: the name of the one that nodes reach one another by; where a node has none of that name, its
        first is taken in plain text, and none with `security`.
        `tail_bytes`: what the batches kept of answers may come to."""
        self._nodes = nodes
        self._listener = listener
        self._node_id = node_id
        self._pool = BufferPool(tail_bytes + _POOL_BYTES_BESIDE_TAILS)
        self._options = ClientOptions(
            client_id="cauce-reader",
            timeout_seconds=_ANSWER_SECONDS,
            max_frame_bytes=WireLimits().max_frame_bytes,
            security=security,
        )

    async def open(self, lease: Lease) -> LeaderConnection:
        """To the node that holds a lease. Raises `Unavailable`."""
        node = next((node for node in self._nodes() if node.session == lease.session), None)
        or_any = self._options.security is None
        endpoint = None if node is None else node.endpoint(self._listener, or_any=or_any)
        if endpoint is None:
            raise Unavailable(f"the leader of {lease.partition}, {lease.session}, is not there")
        host, _, port = endpoint.rpartition(":")
        connection = await open_connection(Address(host.strip("[]"), int(port)), self._options, self._pool)
        return LeaderConnection(connection, lease, self._node_id())
