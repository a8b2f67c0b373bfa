"""The reader nodes of a simulated cluster: they follow leaders by the product's own requests, without sockets."""

import asyncio
from typing import Any

from cauce.following import Following
from cauce.reader_parts import ReaderParts
from infra.cluster.state import ClusterState
from infra.errors import Unavailable
from infra.partition import Lease
from reader.followers import Followers
from reader.history_source import HistorySource
from reader.leader_connection import LeaderConnection
from reader.subscription import Means
from tests.simulation.cluster import Cluster, node_name
from tests.simulation.nodes import SimNode


class SimConnections:
    """Implements what a reader node needs of `LeaderConnections`: the same requests without sockets."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self._opened = 0

    async def open(self, lease: Lease) -> LeaderConnection:
        """To the node that holds a lease."""
        self._opened += 1
        wire = _Wire(self._node.cluster, lease.session.node_id, self._node.node_id * 100_000 + self._opened)
        return LeaderConnection(wire, lease, self._node.node_id)  # type: ignore[arg-type]


class _Wire:
    """Implements what `LeaderConnection` needs of a connection."""

    def __init__(self, cluster: Cluster, to: int, connection_id: int) -> None:
        self.address = node_name(to)
        self._cluster = cluster
        self._to = to
        self._connection_id = connection_id

    async def call(self, request: Any) -> Any:
        answer = await self._cluster.call(self._to, 1, 16, request, 60.0, self._connection_id)
        for topic in answer.responses:
            for data in topic.partitions:
                data.records = memoryview(b"".join(data.records)) if data.records else memoryview(b"")
        return answer

    def close(self) -> None:
        return


class ReaderNode(SimNode):
    """Follows partitions."""

    roles = frozenset({"reader"})

    async def _serve(self) -> None:
        store = self.cluster.store(self.clock)
        cluster_id, view, recover = await self._open(store)
        state = ClusterState(view, self.clock, cluster_id, recover=recover)
        self.process.spawn(self._guarded(state.run()))
        failed: asyncio.Future[BaseException] = self.cluster.loop.create_future()
        parts = ReaderParts(self._shared(store, view, state))
        parts.followers = Followers(
            Means(
                state=state,
                histories=HistorySource(store, view, state),
                connections=SimConnections(self),  # type: ignore[arg-type]
                clock=self.clock,
                observer=parts.shared.read_metrics,
            ),
            tail_bytes=self.cluster.settings["cauce.tail.bytes"],
        )
        await self._open_door(Following(parts, self._sessions(store, view, failed.set_result)))
        error = await failed
        raise Unavailable(f"the node ends: {error}")
