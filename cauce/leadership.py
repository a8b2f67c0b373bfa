"""Joins session, takeover and leases of an ingest node: who this node is, and what it leads."""

import asyncio
from collections.abc import Callable

from cauce.node_parts import NodeParts
from infra.cluster.registrar import Registrar
from infra.cluster.session import NodeDescription, Session
from infra.cluster.session_keeper import SessionKeeper
from infra.errors import BadStart, CauceError
from infra.partition import SessionId
from infra.store.port import ObjectStore
from infra.view.redis_view import RedisView
from ingest.lease_keeper import LeaseKeeper
from ingest.left_in_wal import LeftInWal
from ingest.takeover import Takeover
from ingest.wal_return import WalReturn

_SETTLE_SECONDS = 30.0  # how long a start waits for its leases before it serves anyway


class Leadership:
    """One a node."""

    def __init__(
        self,
        parts: NodeParts,
        store: ObjectStore,
        view: RedisView,
        description: NodeDescription,
        node_id: int | None,
        fail: Callable[[BaseException], None],
    ) -> None:
        """`node_id` as the data folder keeps it or None; `fail` is told when no session can be had any more."""
        given: int = parts.settings["node.id"]
        self._parts = parts
        self._fail = fail
        registrar = Registrar(store, view, parts.clock, description, node_id=given if given >= 0 else node_id)
        self._sessions = SessionKeeper(registrar, on_fatal=lambda error: fail(error))
        self._left = LeftInWal(parts.leaders)
        self._leases = LeaseKeeper(
            store=store,
            view=view,
            clock=parts.clock,
            state=parts.state,
            sessions=self._sessions,
            takeover=Takeover(
                store,
                view,
                parts.clock,
                wal_id=parts.wal.wal_id,
                wal_return=WalReturn(store, parts.clock, parts.state.cluster_id),
            ),
            leaders=parts.leaders,
            left=self._left,
            topics=parts.topic_ledger,
            settings=parts.settings_of,
            keeps_wal=True,
            repair_view_seconds=parts.settings["cauce.view.repair.interval.ms"] / 1000,
        )
        self._sessions.on_open(self._begin)
        parts.on_lost = self._lost
        parts.on_topics_changed = self._leases.kick

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
        await self._parts.state.refresh()
        await self._leases.start()

    async def settle(self) -> None:
        """Wait until the leases that this node should have at its start are taken."""
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                await self._leases.settle()
        except TimeoutError:
            return
        await self._parts.state.refresh()

    async def stop(self) -> None:
        """Give every lease back, leave, and end what flushes and follows."""
        await self._leases.stop()
        await self._parts.coordinator.close()
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

    def _lost(self, session: SessionId, error: CauceError) -> None:
        """A WAL that has failed stays so until it is opened again: end the node then."""
        self._leases.lost(session, error)
        failure = self._parts.wal.failure
        if failure is not None:
            self._fail(BadStart(f"the WAL has failed ({failure}); mend its disk and start the node again"))

    def _begin(self, session: Session) -> None:
        self._parts.session.begin(session)
