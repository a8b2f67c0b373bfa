"""The role of an ingest node: session, takeover and leases joined; who this node is, and what it leads."""

import asyncio
from collections.abc import Callable

from cauce.handlers import ingest_registry
from cauce.ingest_parts import IngestParts
from cauce.node_metrics import StateMetrics
from infra.cluster.session import Session
from infra.cluster.session_keeper import SessionKeeper
from infra.errors import BadStart, CauceError
from infra.partition import SessionId
from infra.wire.handler import Registry
from ingest.lease_keeper import LeaseKeeper
from ingest.left_in_wal import LeftInWal
from ingest.takeover import Takeover
from ingest.wal_return import WalReturn

_SETTLE_SECONDS = 30.0  # how long a start waits for its leases before it serves anyway


class Leadership:
    """One a node."""

    def __init__(self, parts: IngestParts, sessions: SessionKeeper, fail: Callable[[BaseException], None]) -> None:
        """`fail` is told when the WAL has failed."""
        shared = parts.shared
        self._parts = parts
        self._fail = fail
        self._sessions = sessions
        self._left = LeftInWal(parts.leaders)
        self._leases = LeaseKeeper(
            store=shared.store,
            view=shared.view,
            clock=shared.clock,
            state=shared.state,
            sessions=sessions,
            takeover=Takeover(
                shared.store,
                shared.view,
                shared.clock,
                wal_id=parts.wal.wal_id,
                wal_return=WalReturn(shared.store, shared.clock, shared.state.cluster_id),
            ),
            leaders=parts.leaders,
            left=self._left,
            topics=shared.topic_ledger,
            settings=shared.settings_of,
            keeps_wal=True,
            repair_view_seconds=shared.settings["cauce.view.repair.interval.ms"] / 1000,
        )
        self._gauges = StateMetrics(
            shared.metrics,
            parts.leaders,
            shared.state,
            parts.committed,
            parts.transactions.coordinator,
            lambda: parts.wal.bytes_used,
            shared.clock,
        )
        self._sessions.on_open(self._begin)
        parts.on_lost = self._lost
        shared.on_topics_changed = self._leases.kick

    @property
    def node_id(self) -> int:
        """Kafka's broker id of this node."""
        return self._sessions.session.session.node_id

    async def start(self) -> None:
        """Open a session, read back the WAL, and begin to take leases. Raises `BadStart` and `Unavailable`."""
        recovered = self._parts.wal.recovered
        if recovered.damage:
            raise BadStart(
                f"the WAL is damaged: {recovered.damage[0]}; restore the data folder, or move its wal folder away to "
                "start with what the bucket holds"
            )
        await asyncio.to_thread(self._left.recover, recovered.entries())
        self._parts.leaders.start()
        self._parts.manifests.start()
        await self._sessions.start()
        await self._parts.shared.state.refresh()
        await self._leases.start()

    def handlers(self) -> Registry:
        """Everything."""
        return ingest_registry(self._parts)

    async def run(self) -> None:
        """Expire offsets and transactional ids, and abort transactions that take too long."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._parts.coordinator.run())
            tasks.create_task(self._parts.transactions.coordinator.run())

    async def settle(self) -> None:
        """Wait until the leases that this node should have at its start are taken."""
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                await self._leases.settle()
        except TimeoutError:
            return
        await self._parts.shared.state.refresh()

    async def stop(self) -> None:
        """Give every lease back, leave, and end what flushes and follows."""
        await self._leases.stop()
        await self._parts.coordinator.close()
        await self._parts.transactions.close()
        await self._parts.manifests.stop()
        await self._parts.leaders.stop()

    def problem(self) -> str | None:
        """Why the node cannot acknowledge now, None when it can."""
        try:
            self._sessions.session.check_ttl()
        except CauceError as error:
            return error.message
        failure = self._parts.wal.failure
        return None if failure is None else f"the WAL has failed: {failure}"

    def refresh(self) -> None:
        """Bring the gauges up to date."""
        self._gauges.refresh()

    def _lost(self, session: SessionId, error: CauceError) -> None:
        """A WAL that has failed stays so until it is opened again: end the node then."""
        self._leases.lost(session, error)
        failure = self._parts.wal.failure
        if failure is not None:
            self._fail(BadStart(f"the WAL has failed ({failure}); mend its disk and start the node again"))

    def _begin(self, session: Session) -> None:
        self._parts.shared.session.begin(session)
